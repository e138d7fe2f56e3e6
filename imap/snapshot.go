package imap

import (
	"cmp"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// snapshot is a mailbox at one moment. It is never changed, so that all
// sessions read it without a lock, and it shares with the snapshots before and
// after it every chunk that is the same in both.
type snapshot struct {
	refs     []ref // chunks with entries, by ascending UID; entry i has sequence number i+1
	count    int   // entries in all
	keywords keywords
	validity uint32
	next     imap.UID // what arrives later has this UID or a higher one
	changed  uint64   // flags and arrivals up to this ModSeq are here
	expunged uint64   // expunges up to this ModSeq are taken out
}

// ref is a chunk with its place in a snapshot.
type ref struct {
	*chunk
	first imap.UID // of its entries
	start uint32   // index of its first entry in the snapshot
}

// chunk is neighbours in a mailbox, at least one, by ascending UID.
type chunk struct {
	entries []entry
	unseen  int // how many of them lack \Seen
}

// Sizes of chunks. A change copies the chunks that it touches, and of two
// neighbours that together have no more than chunkLow entries one is made: so
// a mailbox that lost most of its messages is in few chunks, too.
const (
	chunkSize = 512
	chunkLow  = chunkSize / 2
)

func newChunk(entries []entry) *chunk {
	c := &chunk{entries: slices.Clone(entries)}
	for i := range entries {
		if entries[i].system()&storage.Seen == 0 {
			c.unseen++
		}
	}
	return c
}

func (c *chunk) last() imap.UID { return c.entries[len(c.entries)-1].uid }

// stretch is a chunk's entries where they stand in a snapshot.
type stretch struct {
	start   int
	entries []entry
}

// around returns the chunk that index i, which exists, is in.
func (s *snapshot) around(i int) stretch {
	k, found := slices.BinarySearchFunc(s.refs, i, func(r ref, i int) int { return cmp.Compare(int(r.start), i) })
	if !found {
		k--
	}
	return stretch{int(s.refs[k].start), s.refs[k].entries}
}

// find returns the index of a UID, or where it would stand.
func (s *snapshot) find(uid imap.UID) (i int, ok bool) {
	k, found := slices.BinarySearchFunc(s.refs, uid, func(r ref, uid imap.UID) int { return cmp.Compare(r.first, uid) })
	switch {
	case found:
		return int(s.refs[k].start), true
	case k == 0:
		return 0, false
	}
	r := s.refs[k-1]
	i, ok = slices.BinarySearchFunc(r.entries, uid, func(e entry, uid imap.UID) int { return cmp.Compare(e.uid, uid) })
	return int(r.start) + i, ok
}

// last returns the largest UID, 0 when there is none.
func (s *snapshot) last() imap.UID {
	if len(s.refs) == 0 {
		return 0
	}
	return s.refs[len(s.refs)-1].last()
}

// firstUnseen returns the index of the first message without \Seen, -1 when
// there is none.
func (s *snapshot) firstUnseen() int {
	for _, r := range s.refs {
		if r.unseen == 0 {
			continue
		}
		i := slices.IndexFunc(r.entries, func(e entry) bool { return e.system()&storage.Seen == 0 })
		return int(r.start) + i
	}
	return -1
}

// octets is about what a snapshot costs that shares nothing.
func (s *snapshot) octets() int64 {
	const perEntry, perChunk, whole = 32, 16 + 32, 1024
	return whole + perEntry*int64(s.count) + perChunk*int64(len(s.refs)) + s.keywords.octets
}

// reader reads a snapshot. It remembers where it was, so that going from one
// entry to the next costs next to nothing. It is for one goroutine at a time.
type reader struct {
	*snapshot
	near stretch
}

// len is how many messages there are.
func (r *reader) len() int { return r.count }

// at returns the entry with sequence number i+1. It is not to be changed.
func (r *reader) at(i int) *entry {
	k := i - r.near.start
	if uint(k) >= uint(len(r.near.entries)) {
		r.near = r.around(i)
		k = i - r.near.start
	}
	return &r.near.entries[k]
}

// flags returns the flags of an entry of the snapshot.
func (s *snapshot) flags(e *entry) storage.Flags {
	return storage.Flags{System: e.system(), Keywords: s.keywords.set(e.keywordSet()).flags}
}
