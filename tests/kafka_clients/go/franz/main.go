// franz-go against a broker: `franz HOST:PORT`.  Prints what it has read as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// transaction sends records with keys, values and headers, and ends one way or the other.
func transaction(ctx context.Context, producer *kgo.Client, word string, count int, end kgo.TransactionEndTry) {
	must(producer.BeginTransaction())
	for number := 0; number < count; number++ {
		text := []byte(fmt.Sprintf("%s %d", word, number))
		header := kgo.RecordHeader{Key: "number", Value: []byte(fmt.Sprint(number))}
		producer.Produce(ctx, &kgo.Record{Topic: "t", Key: text, Value: text, Headers: []kgo.RecordHeader{header}}, func(_ *kgo.Record, err error) { must(err) })
	}
	must(producer.Flush(ctx))
	must(producer.EndTransaction(ctx, end))
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	defer cancel()
	broker := kgo.SeedBrokers(os.Args[1])
	plain, err := kgo.NewClient(broker)
	must(err)
	admin := kadm.NewClient(plain)
	_, err = admin.CreateTopic(ctx, 2, 1, nil, "t")
	must(err)

	producer, err := kgo.NewClient(broker, kgo.TransactionalID("tx"), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	must(err)
	transaction(ctx, producer, "aborted", 1, kgo.TryAbort)
	transaction(ctx, producer, "first", 50, kgo.TryCommit)

	var guard sync.Mutex
	found := [][3]string{}
	enough := make(chan bool)
	var members []*kgo.Client
	var reading sync.WaitGroup
	for range 2 {
		member, err := kgo.NewClient(broker, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
		must(err)
		members = append(members, member)
		reading.Add(1)
		go func() {
			defer reading.Done()
			for {
				fetches := member.PollFetches(ctx)
				if fetches.IsClientClosed() || ctx.Err() != nil {
					return
				}
				guard.Lock()
				fetches.EachRecord(func(r *kgo.Record) {
					found = append(found, [3]string{string(r.Key), string(r.Value), string(r.Headers[0].Value)})
				})
				if fetches.NumRecords() > 0 && member.CommitUncommittedOffsets(ctx) == nil && len(found) >= 100 {
					select {
					case <-enough:
					default:
						close(enough)
					}
				}
				guard.Unlock()
			}
		}()
	}
	transaction(ctx, producer, "second", 50, kgo.TryCommit)
	select {
	case <-enough:
	case <-ctx.Done():
		log.Fatalf("it takes too long: %d records", len(found))
	}
	described, err := admin.DescribeGroups(ctx, "g")
	must(err)
	state := described["g"].State
	for _, member := range members {
		member.Close()
	}
	reading.Wait()
	offsets, err := admin.FetchOffsets(ctx, "g")
	must(err)
	committed := int64(0)
	offsets.Each(func(o kadm.OffsetResponse) { committed += o.At })
	deleted, err := admin.DeleteGroup(ctx, "g")
	must(err)
	must(deleted.Err)
	_, err = admin.DeleteTopic(ctx, "t")
	must(err)
	must(json.NewEncoder(os.Stdout).Encode(map[string]any{"found": found, "committed": committed, "state": state}))
}
