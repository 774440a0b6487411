// sarama against a broker: `sarama HOST:PORT`.  Prints what it has read as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func config() *sarama.Config {
	made := sarama.NewConfig()
	made.Version = sarama.V2_8_0_0
	made.Consumer.IsolationLevel = sarama.ReadCommitted
	made.Consumer.Offsets.Initial = sarama.OffsetOldest
	made.Consumer.Offsets.AutoCommit.Interval = 100 * time.Millisecond
	return made
}

// transaction sends records with keys, values and headers, and ends one way or the other.
func transaction(producer sarama.SyncProducer, word string, count int, end func() error) {
	must(producer.BeginTxn())
	var messages []*sarama.ProducerMessage
	for number := 0; number < count; number++ {
		text := sarama.StringEncoder(fmt.Sprintf("%s %d", word, number))
		header := sarama.RecordHeader{Key: []byte("number"), Value: []byte(fmt.Sprint(number))}
		messages = append(messages, &sarama.ProducerMessage{Topic: "t", Key: text, Value: text, Headers: []sarama.RecordHeader{header}})
	}
	must(producer.SendMessages(messages))
	must(end())
}

type member struct {
	guard *sync.Mutex
	found *[][3]string
	stop  func()
}

func (member) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		session.MarkMessage(message, "")
		m.guard.Lock()
		*m.found = append(*m.found, [3]string{string(message.Key), string(message.Value), string(message.Headers[0].Value)})
		if len(*m.found) >= 100 {
			m.stop()
		}
		m.guard.Unlock()
	}
	return nil
}

func main() {
	brokers := []string{os.Args[1]}
	admin, err := sarama.NewClusterAdmin(brokers, config())
	must(err)
	must(admin.CreateTopic("t", &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1}, false))

	sending := config()
	sending.Producer.Return.Successes = true
	sending.Producer.Idempotent = true
	sending.Producer.RequiredAcks = sarama.WaitForAll
	sending.Producer.Transaction.ID = "tx"
	sending.Producer.Compression = sarama.CompressionSnappy
	sending.Net.MaxOpenRequests = 1
	producer, err := sarama.NewSyncProducer(brokers, sending)
	must(err)
	transaction(producer, "aborted", 1, producer.AbortTxn)
	transaction(producer, "first", 50, producer.CommitTxn)

	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	defer cancel()
	enough, stop := context.WithCancel(ctx)
	var guard sync.Mutex
	found := [][3]string{}
	var reading sync.WaitGroup
	for range 2 {
		group, err := sarama.NewConsumerGroup(brokers, "g", config())
		must(err)
		reading.Add(1)
		go func() {
			defer reading.Done()
			for enough.Err() == nil {
				must(group.Consume(enough, []string{"t"}, member{&guard, &found, stop}))
			}
			must(group.Close())
		}()
	}
	transaction(producer, "second", 50, producer.CommitTxn)
	reading.Wait()
	stop()
	if ctx.Err() != nil {
		log.Fatalf("it takes too long: %d records", len(found))
	}
	must(producer.Close())
	offsets, err := admin.ListConsumerGroupOffsets("g", map[string][]int32{"t": {0, 1}})
	must(err)
	committed := int64(0)
	for _, partition := range offsets.Blocks["t"] {
		committed += max(partition.Offset, 0)
	}
	must(admin.DeleteConsumerGroup("g"))
	must(admin.DeleteTopic("t"))
	must(admin.Close())
	must(json.NewEncoder(os.Stdout).Encode(map[string]any{"found": found, "committed": committed}))
}
