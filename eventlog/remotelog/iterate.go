package remotelog

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A request is an iteration or a watch under way at the server.
type request struct {
	cancel context.CancelFunc
	more   chan struct{} // a token for each page that may be sent
}

// Items of an iteration go in pages, of which the server sends no more than window
// ahead of the client: a slow reader holds up nobody and costs little memory. The
// first page is small, so that a short read is quick.
const (
	window    = 2
	firstPage = 8 << 10
	lastPage  = 64 << 10
)

var errTooMany = errors.New("too many iterations under way on one connection")

// iterate begins an iteration or a watch.
func (s *session) iterate(ctx context.Context, wg *sync.WaitGroup, f frame, d *decoder) error {
	var work func(ctx context.Context, r *request) error
	log := s.h.log
	switch f.kind {
	case askRead:
		shard, rng := d.int(maxShard), d.rng()
		work = func(ctx context.Context, r *request) error {
			return pages(ctx, s, f.id, r, log.Read(ctx, shard, rng), appendCommit)
		}
	case askFind:
		shard, key, rng := d.int(maxShard), d.string(), d.rng()
		work = func(ctx context.Context, r *request) error {
			return pages(ctx, s, f.id, r, log.Find(ctx, shard, key, rng), appendCommit)
		}
	case askKeys:
		shard, prefix, after := d.int(maxShard), d.string(), d.string()
		work = func(ctx context.Context, r *request) error {
			return pages(ctx, s, f.id, r, log.Keys(ctx, shard, prefix, after), appendKey)
		}
	case askCells:
		from, to, limit := d.string(), d.string(), d.int(maxLimit)
		work = func(ctx context.Context, r *request) error {
			return pages(ctx, s, f.id, r, log.Cells(ctx, from, to, limit), appendCell)
		}
	case askWatch:
		work = func(ctx context.Context, _ *request) error { return s.watch(ctx, f.id) }
	default:
		return malformed("unknown kind %d", f.kind)
	}
	if err := d.done(); err != nil {
		return err
	}
	return s.start(ctx, wg, f.id, work)
}

// start runs an iteration until it ends by itself, or is cancelled.
func (s *session) start(ctx context.Context, wg *sync.WaitGroup, id uint64, work func(context.Context, *request) error) error {
	ctx, cancel := context.WithCancel(ctx)
	r := &request{cancel: cancel, more: make(chan struct{}, window)}
	for range window {
		r.more <- struct{}{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.requests[id] != nil:
		cancel()
		return malformed("request %d is under way already", id)
	case s.finishing:
		cancel()
		s.answer(id, nil, errGone)
		return nil
	case len(s.requests) >= maxRequests, s.iterating >= 2*maxRequests:
		cancel()
		s.answer(id, nil, errTooMany)
		return nil
	}
	s.requests[id] = r
	s.iterating++
	wg.Go(func() {
		err := work(ctx, r)
		s.mu.Lock()
		delete(s.requests, id)
		s.mu.Unlock()
		cancel()
		s.answer(id, nil, err)
		s.mu.Lock()
		s.iterating--
		s.mu.Unlock()
	})
	return nil
}

// steer does what a client says about an iteration. It may have ended by now.
func (s *session) steer(f frame) {
	s.mu.Lock()
	r := s.requests[f.id]
	s.mu.Unlock()
	switch {
	case r == nil:
	case f.kind == askCancel:
		r.cancel()
	default:
		select {
		case r.more <- struct{}{}:
		default: // it asks for more than it was given
		}
	}
}

// pages sends what seq yields.
func pages[T any](ctx context.Context, s *session, id uint64, r *request, seq iter.Seq2[T, error], add func([]byte, T) []byte) error {
	var page []byte
	limit := firstPage
	flush := func() error {
		select {
		case <-r.more:
		case <-ctx.Done():
			return ctx.Err()
		}
		err := s.link.send(tellPage, id, func(b []byte) []byte { return append(b, page...) })
		page, limit = page[:0], min(2*limit, lastPage)
		return err
	}
	for item, err := range seq {
		if err != nil {
			if len(page) > 0 && ctx.Err() == nil {
				err = errors.Join(flush(), err)
			}
			return err
		}
		if page = add(page, item); len(page) >= limit {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(page) == 0 {
		return nil
	}
	return flush()
}

// watch sends heads. The log merges what moves while the client takes nothing.
func (s *session) watch(ctx context.Context, id uint64) error {
	for h, err := range s.h.log.Watch(ctx) {
		if err != nil {
			return err
		}
		if err := s.link.send(tellHead, id, func(b []byte) []byte { return appendHead(b, h) }); err != nil {
			return err
		}
	}
	return nil
}

func appendHead(b []byte, h driver.Head) []byte {
	return appendNumbers(b, uint64(h.Shard), uint64(h.Revision))
}
