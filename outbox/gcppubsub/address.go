package gcppubsub

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/rollforward/rollforward/outbox"
)

// An Address names a topic, and how it is subscribed to, in one text:
//
//	pubsub://PROJECT/TOPIC?subscription=NAME&create=false
//
// PROJECT may be empty (pubsub:///TOPIC), then it is that of the environment.
// Without TOPIC it is outbox.DefaultTopic.
type Address struct {
	Project string
	Topic   string
	// Subscription is the one that all share who use it; "" is one of its own for
	// each Subscribe.
	Subscription string
	// MustExist is create=false: nothing is made.
	MustExist bool
}

// ParseURL reads an Address.
func ParseURL(text string) (a Address, err error) {
	if a, err = parseURL(text); err != nil {
		return Address{}, fmt.Errorf("gcppubsub: %.300q: %w (want pubsub://PROJECT/TOPIC, with ?subscription=NAME and &create=false if wanted)", text, err)
	}
	return a, nil
}

func parseURL(text string) (a Address, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return a, errors.New("not a URL")
	}
	if u.Scheme != "pubsub" || u.Opaque != "" || u.User != nil || u.Fragment != "" {
		return a, errors.New("not of the form pubsub://PROJECT/TOPIC")
	}
	a.Project, a.Topic = u.Host, strings.TrimPrefix(u.Path, "/")
	if a.Topic == "" {
		a.Topic = outbox.DefaultTopic
	}
	if _, err := fullName(a.Project, "topics", a.Topic); err != nil {
		return a, err
	}
	return a, a.parseQuery(u.RawQuery)
}

func (a *Address) parseQuery(raw string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return err
	}
	for name, values := range query {
		if !slices.Contains([]string{"subscription", "create"}, name) || len(values) != 1 {
			return fmt.Errorf("the parameter %s is unknown, or there twice", name)
		}
	}
	if a.Subscription = query.Get("subscription"); a.Subscription != "" {
		if _, err := fullName(a.Project, "subscriptions", a.Subscription); err != nil {
			return err
		}
	}
	if create := query.Get("create"); create != "" {
		yes, err := strconv.ParseBool(create)
		if err != nil {
			return fmt.Errorf("create=%s is neither true nor false", create)
		}
		a.MustExist = !yes
	}
	return nil
}

// OpenPublisher opens a Publisher as the address says; o, which may be nil, says
// the rest.
func (a Address) OpenPublisher(ctx context.Context, o *PublisherOptions) (*Publisher, error) {
	var options PublisherOptions
	if o != nil {
		options = *o
	}
	options.Connection.MustExist = options.Connection.MustExist || a.MustExist
	return OpenPublisher(ctx, a.Project, &options)
}

// OpenSubscriber opens a Subscriber as the address says; o, which may be nil, says
// the rest.
func (a Address) OpenSubscriber(o *SubscriberOptions) (*Subscriber, error) {
	var options SubscriberOptions
	if o != nil {
		options = *o
	}
	options.Connection.MustExist = options.Connection.MustExist || a.MustExist
	if a.Subscription != "" {
		options.Group, options.Subscription = "", a.Subscription
	}
	return OpenSubscriber(a.Project, &options)
}
