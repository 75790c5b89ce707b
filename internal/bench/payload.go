package bench

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/rollforward/rollforward/eventlog"
)

// eventType is that of every event.
const eventType = "bench.posted"

// words make texts that compress like texts.
var words = strings.Fields(`account amount balance between cancelled card change customer daily
deposit discount early every first from goods house income insurance interest invoice items january
late lunch market monthly month office order paid payment pending phone quarter reference refund rent
repair salary sent service shop subscription supplier tax ticket to transfer travel water week with`)

// payloads returns JSON objects of size bytes that look like the events of a
// business: an id and numbers that differ, names of members that repeat, and a
// text. An 8 KB block of them compresses to about a half with a fast algorithm.
// Below 40 bytes they are only digits.
func payloads(size int) [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	list := make([][]byte, 4096)
	for i := range list {
		list[i] = payload(rng, size)
	}
	return list
}

func payload(rng *rand.Rand, size int) []byte {
	head := fmt.Sprintf(`{"n":%d,"ref":"%016x","account":"ACC-%07d","amount":%d,"currency":"EUR","at":"2026-%02d-%02dT%02d:%02d:%02dZ","note":"`,
		rng.IntN(1000), rng.Uint64(), rng.IntN(1e7), rng.IntN(1e6), 1+rng.IntN(12), 1+rng.IntN(28), rng.IntN(24), rng.IntN(60), rng.IntN(60))
	if size < len(head)+2 {
		head = `{"n":"`
	}
	if size < len(head)+2 {
		return []byte(strings.Repeat("1", size))
	}
	var b strings.Builder
	b.WriteString(head)
	for b.Len() < size {
		b.WriteString(words[rng.IntN(len(words))])
		if rng.IntN(6) == 0 {
			fmt.Fprintf(&b, " %d", rng.IntN(1e5))
		}
		b.WriteByte(' ')
	}
	return []byte(b.String()[:size-2] + `"}`)
}

// events returns n events.
func (r *runner) events(rng *rand.Rand, n int) []eventlog.Event {
	list := make([]eventlog.Event, n)
	for i := range list {
		list[i] = eventlog.Raw{Type: eventType, Data: r.payloads[rng.IntN(len(r.payloads))]}
	}
	return list
}
