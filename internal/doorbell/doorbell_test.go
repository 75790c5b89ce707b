package doorbell_test

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/internal/doorbell"
)

func TestEncodeDecode(t *testing.T) {
	t.Parallel()
	want := doorbell.Bell{Log: "bank", Shard: 3, Revision: 1 << 60}
	m := doorbell.Encode(want)
	if m.UUID == "" {
		t.Error("a message without an id")
	}
	got, err := doorbell.Decode(m)
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{"", "x", `{"shard":-1}`, `{"shard":"1"}`, `{"revision":-1}`} {
		if b, err := doorbell.Decode(message.NewMessage("1", []byte(payload))); err == nil {
			t.Errorf("payload %q is taken for %+v", payload, b)
		}
	}
}
