// kafka-go against a broker: `segmentio HOST:PORT`.  Prints what it has read as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	defer cancel()
	client := &kafka.Client{Addr: kafka.TCP(os.Args[1])}
	created, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: "t", NumPartitions: 2, ReplicationFactor: 1}},
	})
	must(err)
	must(created.Errors["t"])

	writer := &kafka.Writer{Addr: client.Addr, Topic: "t", Balancer: &kafka.Murmur2Balancer{}, Compression: kafka.Lz4,
		RequiredAcks: kafka.RequireAll, BatchTimeout: 10 * time.Millisecond}
	var messages []kafka.Message
	for _, word := range []string{"first", "second"} {
		for number := 0; number < 50; number++ {
			text := []byte(fmt.Sprintf("%s %d", word, number))
			header := kafka.Header{Key: "number", Value: []byte(fmt.Sprint(number))}
			messages = append(messages, kafka.Message{Key: text, Value: text, Headers: []kafka.Header{header}})
		}
	}
	must(writer.WriteMessages(ctx, messages...))
	must(writer.Close())

	var guard sync.Mutex
	found := [][3]string{}
	enough, stop := context.WithCancel(ctx)
	var reading sync.WaitGroup
	for range 2 {
		reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{os.Args[1]}, GroupID: "g", Topic: "t",
			IsolationLevel: kafka.ReadCommitted, StartOffset: kafka.FirstOffset, MaxWait: 500 * time.Millisecond})
		reading.Add(1)
		go func() {
			defer reading.Done()
			for {
				message, err := reader.FetchMessage(enough)
				if err != nil {
					break
				}
				must(reader.CommitMessages(ctx, message))
				guard.Lock()
				found = append(found, [3]string{string(message.Key), string(message.Value), string(message.Headers[0].Value)})
				if len(found) >= 100 {
					stop()
				}
				guard.Unlock()
			}
			must(reader.Close())
		}()
	}
	reading.Wait()
	stop()
	if ctx.Err() != nil {
		log.Fatalf("it takes too long: %d records", len(found))
	}
	offsets, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: "g", Topics: map[string][]int{"t": {0, 1}}})
	must(err)
	committed := int64(0)
	for _, partition := range offsets.Topics["t"] {
		committed += max(partition.CommittedOffset, 0)
	}
	_, err = client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{"t"}})
	must(err)
	must(json.NewEncoder(os.Stdout).Encode(map[string]any{"found": found, "committed": committed}))
}
