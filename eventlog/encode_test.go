package eventlog

import (
	"fmt"
	"testing"
)

// benchCommits are commits as most are, and as a batch of steps makes them.
func benchCommits() map[string]*commit {
	payload := []byte(`{"amount":4711,"currency":"EUR","text":"` + fmt.Sprintf("%0200d", 7) + `"}`)
	three := &commit{id: testID(0x10), time: 1, meta: Meta{Correlation: testID(0x20), Causation: testID(0x30), Actor: "ada"}}
	for i := range 3 {
		three.events = append(three.events, event{stream: "account/42", version: uint64(i + 1), typ: "bank.posted", tags: []string{"a/1"}, data: payload})
	}
	wide := &commit{id: testID(0x10), time: 1}
	for i := range 384 {
		wide.events = append(wide.events, event{stream: fmt.Sprint("account/", i%96), version: uint64(i/96 + 1), typ: "bank.posted", data: payload})
	}
	return map[string]*commit{
		"one":   {id: testID(0x10), time: 1, events: []event{{stream: "account/42", version: 7, typ: "bank.posted", data: payload}}},
		"three": three,
		"wide":  wide,
	}
}

// BenchmarkEncode: the stored form and the index keys of a commit.
func BenchmarkEncode(b *testing.B) {
	for name, c := range benchCommits() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, c.size())
			for b.Loop() {
				c.keys(2, Index{})
				buf = c.append(buf[:0], 1, 2)
			}
			b.ReportMetric(float64(len(buf)), "bytes")
		})
	}
}

// BenchmarkDecode: a stored commit, read.
func BenchmarkDecode(b *testing.B) {
	for name, c := range benchCommits() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			data := c.encode(1, 2)
			for b.Loop() {
				if _, err := decodeCommit(1, 2, data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
