package datastorelog

import "sync/atomic"

// pageBytes is what a page of a read should have, about.
const pageBytes = 2 << 20

// maxPage bounds a page where things are small: the service looks up at most
// 1,000 keys.
const maxPage = 500

// A mean is about how many bytes things of a kind had that were read lately.
type mean int64

// note takes a page into account.
func (m *mean) note(n, bytes int) {
	if n == 0 {
		return
	}
	old, now := atomic.LoadInt64((*int64)(m)), int64(bytes/n)
	atomic.StoreInt64((*int64)(m), (old+now)/2+1)
}

// page returns how many things make a page.
func (m *mean) page() int {
	return int(max(1, min(maxPage, pageBytes/atomic.LoadInt64((*int64)(m)))))
}
