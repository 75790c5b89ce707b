package gcppubsub

import (
	"context"
	"errors"
	"fmt"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A topic is one that a Publisher publishes to.
type topic struct {
	*Publisher
	name      string // full
	publisher *pubsub.Publisher
	keys      keys
}

// An outgoing message.
type outgoing struct {
	ctx     context.Context
	message *pubsub.Message
}

func (p *Publisher) newTopic(name string) *topic {
	t := &topic{Publisher: p, name: name, publisher: p.client.Publisher(name)}
	o := &p.options
	t.publisher.EnableMessageOrdering = true // of messages that have a key
	t.publisher.PublishSettings = pubsub.PublishSettings{
		DelayThreshold: o.Delay, CountThreshold: o.Batch, ByteThreshold: o.BatchBytes, Timeout: o.Timeout,
		FlowControlSettings: pubsub.FlowControlSettings{MaxOutstandingMessages: o.Outstanding, MaxOutstandingBytes: o.OutstandingBytes,
			LimitExceededBehavior: pubsub.FlowControlBlock},
	}
	t.keys.resume = t.publisher.ResumePublish
	return t
}

// publish publishes all, and makes the topic where it is missing. To look for it
// before would cost a call and a permission.
func (t *topic) publish(list []outgoing) error {
	failed, err := t.attempt(list)
	if status.Code(err) == codes.NotFound {
		if t.options.Connection.MustExist {
			return fmt.Errorf("the topic does not exist, and must not be made (MustExist): %w", err)
		}
		if err := t.create(); err != nil {
			return err
		}
		failed, err = t.attempt(failed)
	}
	if err != nil && len(failed) < len(list) {
		return fmt.Errorf("%d of %d messages: %w", len(failed), len(list), err)
	}
	return err
}

func (t *topic) create() error {
	ctx, cancel := context.WithTimeout(context.Background(), t.options.Connection.Timeout)
	defer cancel()
	return createTopic(ctx, t.client, t.name, &t.options.Connection)
}

// attempt publishes all messages side by side, waits for the answers, and returns
// which were not published, with the first error.
func (t *topic) attempt(list []outgoing) (failed []outgoing, err error) {
	names := keysOf(list)
	if err := t.keys.enter(list[0].ctx, names); err != nil {
		return list, err
	}
	answers := make([]*pubsub.PublishResult, len(list))
	for i, out := range list {
		answers[i] = t.publisher.Publish(out.ctx, out.message)
	}
	gone := false
	for i, out := range list {
		_, e := answers[i].Get(out.ctx)
		if e == nil {
			continue
		}
		failed = append(failed, out)
		if paused := new(pubsub.ErrPublishingPaused); err == nil || errors.As(err, paused) {
			err = e // the cause comes before what is held back because of it
		}
		select {
		case <-answers[i].Ready():
		default:
			gone = true // the caller does not wait any longer
		}
	}
	if gone {
		t.calls.Go(func() { t.settle(names, list, answers) })
		return failed, err
	}
	t.settle(names, list, answers)
	return failed, err
}

// settle waits for the answers and ends the call.
func (t *topic) settle(names []string, list []outgoing, answers []*pubsub.PublishResult) {
	failed := make(map[string]bool)
	for i, a := range answers {
		<-a.Ready()
		if _, err := a.Get(context.Background()); err != nil {
			failed[list[i].message.OrderingKey] = true
		}
	}
	t.keys.leave(names, failed)
}

// keysOf returns the ordering keys, each once.
func keysOf(list []outgoing) (names []string) {
	seen := make(map[string]bool)
	for _, out := range list {
		if key := out.message.OrderingKey; key != "" && !seen[key] {
			seen[key] = true
			names = append(names, key)
		}
	}
	return names
}

// createTopic makes a topic, unless somebody else has.
func createTopic(ctx context.Context, client *pubsub.Client, name string, c *Connection) error {
	_, err := client.TopicAdminClient.CreateTopic(ctx, &pubsubpb.Topic{Name: name})
	switch status.Code(err) {
	case codes.OK:
		c.Logger.Info("pubsub: topic made", "topic", name)
	case codes.AlreadyExists:
	default:
		return fmt.Errorf("make the topic: %w", err)
	}
	return nil
}
