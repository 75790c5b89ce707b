package gcppubsub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// ErrOtherTopic is that a subscription exists and is that of another topic, or of
// one that was deleted.
var ErrOtherTopic = errors.New("the subscription belongs to another topic")

// ensure sees to it that the subscription is there. Its own one is made at once;
// a shared one is looked for before.
func (s *subscription) ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.options.Connection.Timeout)
	defer cancel()
	if s.options.own() {
		return s.create(ctx)
	}
	is, err := s.client.SubscriptionAdminClient.GetSubscription(ctx, &pubsubpb.GetSubscriptionRequest{Subscription: s.name})
	switch status.Code(err) {
	case codes.OK:
		return s.compare(is)
	case codes.PermissionDenied:
		return nil // who may receive need not be allowed to look: Receive will say
	case codes.NotFound:
		if s.options.Connection.MustExist {
			return fmt.Errorf("the subscription %s does not exist, and must not be made (MustExist): %w", s.name, err)
		}
		return s.create(ctx)
	}
	return fmt.Errorf("look for the subscription %s: %w", s.name, err)
}

// compare refuses a subscription of another topic, and tells what is otherwise
// not as the options want it.
func (s *subscription) compare(is *pubsubpb.Subscription) error {
	if is.Topic != s.topic {
		return fmt.Errorf("%w: %s is that of %s", ErrOtherTopic, s.name, is.Topic)
	}
	o := s.options
	if is.EnableMessageOrdering == o.Unordered || is.EnableExactlyOnceDelivery != o.ExactlyOnce || is.Filter != o.Filter ||
		(is.DeadLetterPolicy.GetDeadLetterTopic() != s.deadLetter) {
		o.Connection.Logger.Warn("pubsub: the subscription is there and not as it would be made", "subscription", s.name, "ordered", is.EnableMessageOrdering,
			"exactly_once", is.EnableExactlyOnceDelivery, "filter", is.Filter, "dead_letter", is.DeadLetterPolicy.GetDeadLetterTopic())
	}
	return nil
}

// create makes the subscription, and what it needs.
func (s *subscription) create(ctx context.Context) error {
	if err := s.createDeadLetter(ctx); err != nil {
		return err
	}
	_, err := s.client.SubscriptionAdminClient.CreateSubscription(ctx, s.proto())
	if status.Code(err) == codes.NotFound {
		if err := createTopic(ctx, s.client, s.topic, &s.options.Connection); err != nil {
			return err
		}
		_, err = s.client.SubscriptionAdminClient.CreateSubscription(ctx, s.proto())
	}
	switch status.Code(err) {
	case codes.OK:
		s.options.Connection.Logger.Info("pubsub: subscription made", "subscription", s.name, "topic", s.topic)
	case codes.AlreadyExists: // by somebody else, or by a call whose answer was lost
	default:
		return fmt.Errorf("make the subscription %s: %w", s.name, err)
	}
	return nil
}

// createDeadLetter makes the topic for dead letters, and a subscription that
// keeps them.
func (s *subscription) createDeadLetter(ctx context.Context) error {
	if s.deadLetter == "" {
		return nil
	}
	if err := createTopic(ctx, s.client, s.deadLetter, &s.options.Connection); err != nil {
		return err
	}
	name, err := fullName(s.client.Project(), "subscriptions", shortName(s.deadLetter))
	if err != nil {
		return err
	}
	_, err = s.client.SubscriptionAdminClient.CreateSubscription(ctx, &pubsubpb.Subscription{Name: name, Topic: s.deadLetter, AckDeadlineSeconds: 30,
		MessageRetentionDuration: durationpb.New(7 * day), ExpirationPolicy: &pubsubpb.ExpirationPolicy{}})
	if code := status.Code(err); code != codes.OK && code != codes.AlreadyExists {
		return fmt.Errorf("make the subscription %s for dead letters: %w", name, err)
	}
	return nil
}

func (s *subscription) proto() *pubsubpb.Subscription {
	o := s.options
	p := &pubsubpb.Subscription{Name: s.name, Topic: s.topic, AckDeadlineSeconds: int32(o.Lease / time.Second),
		MessageRetentionDuration: durationpb.New(o.Retention), ExpirationPolicy: &pubsubpb.ExpirationPolicy{},
		EnableMessageOrdering: !o.Unordered, EnableExactlyOnceDelivery: o.ExactlyOnce, Filter: o.Filter}
	if o.Expiry > 0 {
		p.ExpirationPolicy.Ttl = durationpb.New(o.Expiry)
	}
	if o.Backoff > 0 {
		p.RetryPolicy = &pubsubpb.RetryPolicy{MinimumBackoff: durationpb.New(o.Backoff), MaximumBackoff: durationpb.New(o.MaxBackoff)}
	}
	if s.deadLetter != "" {
		p.DeadLetterPolicy = &pubsubpb.DeadLetterPolicy{DeadLetterTopic: s.deadLetter, MaxDeliveryAttempts: int32(o.Attempts)}
	}
	return p
}

// remove deletes a subscription of its own. It does not wait for long: Pub/Sub
// deletes it by itself, later.
func (s *subscription) remove() {
	if !s.options.own() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), min(2*time.Second, s.options.Connection.Grace))
	defer cancel()
	err := s.client.SubscriptionAdminClient.DeleteSubscription(ctx, &pubsubpb.DeleteSubscriptionRequest{Subscription: s.name})
	if code := status.Code(err); code != codes.OK && code != codes.NotFound {
		s.options.Connection.Logger.Warn("pubsub: the subscription is not deleted; it expires", "subscription", s.name, "after", s.options.Expiry, "err", err)
	}
}
