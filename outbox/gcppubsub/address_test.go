package gcppubsub_test

import (
	"context"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/outbox/gcppubsub"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]gcppubsub.Address{
		"pubsub://p/bells":     {Project: "p", Topic: "bells"},
		"pubsub:///bells":      {Topic: "bells"},
		"pubsub://p":           {Project: "p", Topic: "eventlog.commits"},
		"pubsub://p/":          {Project: "p", Topic: "eventlog.commits"},
		"pubsub:":              {Topic: "eventlog.commits"},
		"pubsub://p/a%2Bb~c.d": {Project: "p", Topic: "a+b~c.d"},
		"pubsub://p/bells?subscription=mine&create=false": {Project: "p", Topic: "bells", Subscription: "mine", MustExist: true},
		"pubsub://p/bells?create=true":                    {Project: "p", Topic: "bells"},
	} {
		if a, err := gcppubsub.ParseURL(text); err != nil || a != want {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
	}
	for text, says := range map[string]string{
		"":                          "not of the form",
		"p/bells":                   "not of the form",
		"kafka://p/bells":           "not of the form",
		"pubsub:bells":              "not of the form",
		"pubsub://u@p/bells":        "not of the form",
		"pubsub://p/bells#x":        "not of the form",
		"pubsub://p:x/bells":        "not a URL",
		"pubsub://p/a/b":            "no name in topics",
		"pubsub://p/goog":           "no name in topics",
		"pubsub://p/x":              "no name in topics",
		"pubsub://p/bells?x=1":      "the parameter x is unknown",
		"pubsub://p/bells?create=x": "neither true nor false",
		"pubsub://p/bells?create=true&create=false": "there twice",
		"pubsub://p/bells?subscription=a/b":         "no name in subscriptions",
		"pubsub://p/bells?a=%":                      "invalid URL escape",
	} {
		if a, err := gcppubsub.ParseURL(text); err == nil || !strings.HasPrefix(err.Error(), "gcppubsub: ") || !strings.Contains(err.Error(), says) ||
			!strings.Contains(err.Error(), "want pubsub://PROJECT/TOPIC") || a != (gcppubsub.Address{}) {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("pubsub://p/bells?subscription=mine&create=false")
	f.Fuzz(func(t *testing.T, text string) {
		if a, err := gcppubsub.ParseURL(text); err == nil && a.Topic == "" {
			t.Errorf("%q: no topic", text)
		}
	})
}

// TestEnvironment: the variables name the server and the project.
func TestEnvironment(t *testing.T) {
	s := fake(t)
	t.Setenv("PUBSUB_EMULATOR_HOST", s.Addr)
	t.Setenv("GOOGLE_CLOUD_PROJECT", "")
	a, err := gcppubsub.ParseURL("pubsub:///bells?create=false")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.OpenPublisher(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "which project? Name it, or set GOOGLE_CLOUD_PROJECT") {
		t.Errorf("no project: %v", err)
	}
	t.Setenv("GOOGLE_CLOUD_PROJECT", "q")
	if _, err := a.OpenSubscriber(nil); err == nil || !strings.Contains(err.Error(), "MustExist") {
		t.Errorf("a subscription of its own that must not be made: %v", err)
	}
	p, err := a.OpenPublisher(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Publish("bells", text("x", "")); err == nil || !strings.Contains(err.Error(), "MustExist") {
		t.Errorf("it made the topic: %v", err)
	}
	a.MustExist, a.Subscription = false, "named"
	sub, err := a.OpenSubscriber(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	in, err := sub.Subscribe(context.Background(), a.Topic)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, p, "bells", text("ding", ""))
	if got := acked(t, in); got != "ding" || s.Messages()[0].Topic != "projects/q/topics/bells" {
		t.Errorf("%s of %s", got, s.Messages()[0].Topic)
	}
}
