// Package notify is the flag --notify of commands: where they tell other
// processes of their commits, and hear of those of others.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/spf13/cobra"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/cli"
	"github.com/rollforward/rollforward/internal/doorbell"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/outbox/gcppubsub"
)

// variable names the topic where --notify does not.
const variable = "EVENTLOG_NOTIFY"

// A Flag is --notify.
type Flag struct{ url string }

// AddFlag adds --notify to cmd.
func (f *Flag) AddFlag(cmd *cobra.Command) { f.add(cmd, cmd.Flags().StringVar) }

// AddPersistentFlag adds --notify to cmd and the commands below it.
func (f *Flag) AddPersistentFlag(cmd *cobra.Command) { f.add(cmd, cmd.PersistentFlags().StringVar) }

func (f *Flag) add(cmd *cobra.Command, flag func(to *string, name, value, usage string)) {
	flag(&f.url, "notify", "", "`topic` that wakes the other processes on the log, such as pubsub://PROJECT/TOPIC (default: the variable "+variable+", else none: within this process)")
	_ = cmd.RegisterFlagCompletionFunc("notify", cobra.NoFileCompletions) // the flag is there
}

// Patience with a broker that does not answer: nothing depends on it, and a
// command, or a daemon that was told to stop, is waited for.
const (
	publishTime = 2 * time.Second
	grace       = time.Second
)

// Open connects a log with the topic that is named, if one is; else the result is
// nil, which does nothing. A topic that cannot be read is misuse; a broker that
// cannot be reached is told to logger, and costs latency only. nil logs warnings
// to cmd's error stream.
func (f *Flag) Open(cmd *cobra.Command, l *eventlog.Log, logger *slog.Logger) (*Bells, error) {
	url := f.url
	if url == "" {
		url = os.Getenv(variable)
	}
	if url == "" {
		return nil, nil
	}
	a, err := gcppubsub.ParseURL(url)
	if err != nil {
		return nil, cli.Usage("--notify (%s): %w", variable, err)
	}
	if logger == nil {
		logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	b := &Bells{log: l, logger: logger, address: a, connection: gcppubsub.Connection{Grace: grace, Logger: logger}}
	// Before anything is committed: what is wrong with the address is to be said at once.
	b.publisher, err = a.OpenPublisher(cmd.Context(), &gcppubsub.PublisherOptions{Connection: b.connection, Timeout: publishTime})
	if err == nil && (a.Subscription != "" || !a.MustExist) {
		b.subscriber, err = a.OpenSubscriber(&gcppubsub.SubscriberOptions{Connection: b.connection})
	}
	if err != nil {
		return nil, fmt.Errorf("--notify (%s): %w", variable, errors.Join(err, b.Close()))
	}
	return b, nil
}

// Bells are a log's doorbells over a broker. nil has none.
type Bells struct {
	log        *eventlog.Log
	logger     *slog.Logger
	address    gcppubsub.Address
	connection gcppubsub.Connection
	publisher  *gcppubsub.Publisher
	subscriber *gcppubsub.Subscriber

	stop []context.CancelFunc
	work sync.WaitGroup
}

// Ring rings for what this process commits from now on, until Close.
func (b *Bells) Ring() {
	if b == nil {
		return
	}
	n := &outbox.Notifier{Log: b.log, Publisher: b.publisher, Topic: b.address.Topic, Logger: b.logger}
	run, err := n.Attach()
	if err != nil {
		panic(err) // its fields are there
	}
	b.start(func(ctx context.Context) { _ = run(ctx) })
}

// start does work until Close.
func (b *Bells) start(work func(ctx context.Context)) {
	ctx, stop := context.WithCancel(context.Background())
	b.stop = append(b.stop, stop)
	b.work.Go(func() { work(ctx) })
}

// Wake is what brings the bells of others, and of which topic, for the runners of
// the log: nil and "" without a broker.
func (b *Bells) Wake() (message.Subscriber, string) {
	if !b.hears() {
		return nil, ""
	}
	return b.subscriber, b.address.Topic
}

// hears says so when there is a topic and no subscription to it.
func (b *Bells) hears() bool {
	if b == nil {
		return false
	}
	if b.subscriber == nil {
		b.logger.Warn("nothing wakes this process: its subscription must not be made (create=false) and none is named (subscription=NAME)", "topic", b.address.Topic)
	}
	return b.subscriber != nil
}

// Listen wakes the log's followers until Close, for commands without a runner.
func (b *Bells) Listen() {
	if !b.hears() {
		return
	}
	line := doorbell.Line{Subscriber: b.subscriber, Topic: b.address.Topic, Lost: func(err error) {
		b.logger.Warn("no doorbell", "topic", b.address.Topic, "err", err)
	}}
	b.start(func(ctx context.Context) {
		line.Listen(ctx, func(m *message.Message) {
			bell, err := doorbell.Decode(m)
			doorbell.Wake(b.log, bell, err == nil)
			m.Ack()
		})
	})
}

// Close rings for what was committed last, and leaves the broker, within some two
// seconds where that does not answer.
func (b *Bells) Close() (err error) {
	if b == nil {
		return nil
	}
	for _, stop := range b.stop {
		stop()
	}
	var heard error
	var ends sync.WaitGroup
	if b.subscriber != nil {
		ends.Go(func() { heard = b.subscriber.Close() })
	}
	b.told()
	if b.publisher != nil {
		err = b.publisher.Close() // ends what still waits for the broker
	}
	ends.Wait()
	b.work.Wait()
	return errors.Join(err, heard)
}

// told waits until the last bell was taken, for as long as the grace.
func (b *Bells) told() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.work.Wait()
	}()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
