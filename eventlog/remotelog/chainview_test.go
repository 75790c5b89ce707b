package remotelog

import (
	"encoding/json"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// numbered is what a commit says: which one it is, behind which one it was made, and what
// its Write saw in shards that it only checked.
type numbered struct {
	Num, Behind int64
	Saw         []glimpse `json:",omitempty"`
}

type glimpse struct {
	Shard    int
	Revision driver.Revision
	Num      int64
}

func (l numbered) encode() []byte {
	b, _ := json.Marshal(l)
	return b
}

func decodeNumbered(data []byte) (l numbered, err error) {
	err = json.Unmarshal(data, &l)
	return l, err
}

// A view is what a writer knows of a shard.
type view struct {
	tail driver.Revision // durable
	num  int64           // of the commit there

	ahead    driver.Revision // with what is under way; the same without
	aheadNum int64
	behind   [16]byte // who has put it there
}

// told returns the view with what a refusal says to a batch, if it says anything.
func (v view) told(b *driver.Batch, e *driver.TailError) (_ view, ok bool) {
	for _, news := range e.News {
		if news.Shard != b.Shard || news.First != b.First {
			continue
		}
		v.tail, v.num, ok = b.First-1, v.aheadNum, true
		for _, c := range news.Commits {
			v.tail, v.num = c.Revision, c.Time
		}
		v.ahead, v.aheadNum = v.tail, v.num
	}
	for _, f := range e.Ahead {
		if f.Batch.Shard != b.Shard {
			continue
		}
		if ok = ok || f.Batch.First == b.First; !ok || f.Batch.First != v.ahead+1 {
			break
		}
		for _, c := range f.Batch.Commits {
			v.ahead, v.aheadNum, v.behind = c.Revision, c.Time, f.Write
		}
	}
	return v, ok
}
