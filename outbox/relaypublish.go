package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/rollforward/rollforward/eventlog"
)

// queue puts an item at the end of its stream.
func (s *relayShard) queue(it *relayItem) {
	st := s.streams[it.stream]
	if st == nil {
		st = &relayStream{name: it.stream}
		s.streams[it.stream] = st
	}
	st.items = append(st.items, it)
	if len(st.items) == 1 {
		s.list(st)
	}
}

// list lets a stream go that has something to publish.
func (s *relayShard) list(st *relayStream) {
	if len(st.items) > 0 && !st.busy {
		st.busy = true
		s.ready = append(s.ready, st)
	}
}

// drop forgets an item's payload.
func (s *relayShard) drop(it *relayItem) {
	s.bytes -= it.size()
	it.record = nil
}

// A relayResult is what became of a call for a stream: done of the events were
// taken, and then, if err is not nil, the next one was not.
type relayResult struct {
	stream *relayStream
	done   int
	failed *eventlog.Record // nil: it could not even be read
	err    error
}

// start publishes the next events of a stream in a goroutine. The caller has
// taken a slot, which the goroutine gives back.
func (s *relayShard) start(ctx context.Context) {
	st := s.ready[0]
	s.ready[0] = nil
	s.ready = s.ready[1:]
	n, bytes := 0, 0
	for n < min(s.batch, len(st.items)) && bytes < relayCall {
		bytes += st.items[n].size()
		n++
	}
	if st.careful > 0 {
		n = 1 // which one fails is to be seen
	}
	st.calling = n
	records := make([]*eventlog.Record, n)
	for i := range records {
		records[i] = st.items[i].record
	}
	c := &relayCalling{relay: s.relay, stream: st, first: st.items[0].version, last: st.items[n-1].version, records: records}
	s.busy++
	go func() {
		r := c.run(ctx)
		<-s.slots
		s.results <- r
	}()
}

// A relayCalling publishes some events of a stream.
type relayCalling struct {
	*relay
	stream      *relayStream
	first, last uint64 // versions
	records     []*eventlog.Record
}

func (c *relayCalling) run(ctx context.Context) relayResult {
	r := relayResult{stream: c.stream}
	if r.err = c.load(ctx); r.err != nil {
		return r
	}
	for r.done < len(c.records) && r.err == nil {
		var n int
		n, r.err = c.call(ctx, c.records[r.done:])
		if r.err == nil {
			r.done += n
		} else {
			r.failed = c.records[r.done]
		}
	}
	return r
}

// load reads the events again whose payload is not in memory.
func (c *relayCalling) load(ctx context.Context) error {
	at := 0
	for at < len(c.records) && c.records[at] != nil {
		at++
	}
	if at == len(c.records) {
		return nil
	}
	q := eventlog.Query{Stream: c.stream.name, From: c.first, To: c.last, Types: c.types}
	at = 0
	for r, err := range c.Log.Read(ctx, q) {
		if err != nil {
			return err
		}
		if at < len(c.records) {
			c.records[at] = &r
		}
		at++
	}
	if at != len(c.records) {
		return fmt.Errorf("%d events of stream %s between versions %d and %d, and not %d", at, c.stream.name, c.first, c.last, len(c.records))
	}
	return nil
}

// call publishes the first of records: all that go to the same topic.
func (c *relayCalling) call(ctx context.Context, records []*eventlog.Record) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var topic string
	var messages []*message.Message
	err = guard(func() error {
		for i, r := range records {
			to := c.topicOf(*r)
			if i == 0 {
				topic = to
			} else if to != topic {
				break
			}
			m := c.message(r)
			m.SetContext(ctx)
			messages = append(messages, m)
		}
		return nil
	})
	if err != nil || topic == "" {
		return len(messages), err
	}
	start, done := time.Now(), c.calling(c.stream.name)
	err = guard(func() error { return c.publisher.Publish(topic, messages...) })
	done()
	if f := c.hooks.Published; f != nil && err == nil {
		f(topic, len(messages), time.Since(start))
	}
	return len(messages), err
}

// settle takes in what became of a call.
func (s *relayShard) settle(r relayResult) {
	s.busy--
	st := r.stream
	for _, it := range st.items[:r.done] {
		it.taken = true
		s.drop(it)
	}
	clear(st.items[:r.done])
	st.items = st.items[r.done:]
	if r.done > 0 {
		st.attempt, st.careful = 0, max(0, st.careful-r.done)
		s.well(s.held(st))
		s.advance()
	}
	if r.err != nil {
		s.pause(r)
		return
	}
	st.busy = false
	if len(st.items) == 0 {
		delete(s.streams, st.name)
	}
	s.list(st)
}

func (s *relayShard) held(st *relayStream) relayPart {
	return relayPart{shard: s.shard, what: relayHeldUp, stream: st.name}
}

// pause lets a stream wait for its next attempt.
func (s *relayShard) pause(r relayResult) {
	st := r.stream
	st.attempt++
	st.careful = max(st.careful, st.calling-r.done)
	s.trouble(s.held(st), r.err)
	s.logger.Warn("an event cannot be published; it holds up its stream", "shard", s.shard, "stream", st.name,
		"version", st.items[0].version, "attempt", st.attempt, "err", r.err)
	if f := s.hooks.Failed; f != nil && r.failed != nil {
		f(*r.failed, st.attempt, r.err)
	}
	st.pause = time.AfterFunc(s.pauses.delay(st.attempt), func() {
		select {
		case s.woken <- st:
		case <-s.over:
		}
	})
}
