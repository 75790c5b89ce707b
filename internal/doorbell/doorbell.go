// Package doorbell is the message that tells other processes that a shard has
// moved. It says where to look, never what is there: losing one, getting one
// twice or out of order costs latency and nothing else.
package doorbell

import (
	"encoding/json"
	"fmt"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// Topic is where bells are published when nobody names another topic.
const Topic = "eventlog.commits"

// A Bell is what a message says: shard Shard of the log that its users call Log
// has reached Revision.
type Bell struct {
	Log      string          `json:"log,omitempty"`
	Shard    int             `json:"shard"`
	Revision driver.Revision `json:"revision"`
}

// Encode returns a new message that says b.
func Encode(b Bell) *message.Message {
	payload, err := json.Marshal(b)
	if err != nil {
		panic(err) // a string and two numbers
	}
	return message.NewMessage(watermill.NewUUID(), payload)
}

// Decode reads what Encode wrote.
func Decode(m *message.Message) (Bell, error) {
	var b Bell
	if err := json.Unmarshal(m.Payload, &b); err != nil {
		return Bell{}, fmt.Errorf("doorbell: message %s: %w", m.UUID, err)
	}
	if b.Shard < 0 {
		return Bell{}, fmt.Errorf("doorbell: message %s: shard %d", m.UUID, b.Shard)
	}
	return b, nil
}
