package local

import (
	"cmp"
	"iter"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage/internal/uids"
)

// table is the rows of a mailbox as one change left them. It is never changed,
// so that readers need no lock: a change makes a new table that shares the
// chunks which stay as they are.
//
// Adding shares even the last chunk's array: the new row stands behind the end
// that older tables know. That is why only the newest table, and what the
// committer builds on it, may be added to.
type table struct {
	modSeq uint64   // of the change that left it so
	chunks []*chunk // those with rows, by ascending page
	count  int
}

// chunk is the rows of a page, by ascending UID.
type chunk struct {
	page   uint32
	modSeq uint64 // the highest of its rows
	rows   []row
	words  [][]imap.Flag // per row; nil: none of them has keywords
}

func newChunk(page uint32) *chunk { return &chunk{page: page, rows: make([]row, 0, pageSize)} }

// push adds a row to a chunk that nobody else has seen, or to a copy whose
// array ends where that of the newest table ends.
func (c *chunk) push(l listed) {
	if c.words == nil && len(l.words) > 0 {
		c.words = make([][]imap.Flag, len(c.rows), pageSize)
	}
	c.rows = append(c.rows, l.row)
	if c.words != nil {
		c.words = append(c.words, l.words)
	}
	c.modSeq = max(c.modSeq, l.modSeq)
}

// get returns a row with its keywords.
func (c *chunk) get(i int) listed {
	l := listed{row: c.rows[i]}
	if c.words != nil {
		l.words = c.words[i]
	}
	return l
}

// set changes a row of a chunk that nobody else has seen.
func (c *chunk) set(i int, l listed) {
	if c.words == nil && len(l.words) > 0 {
		c.words = make([][]imap.Flag, len(c.rows), pageSize)
	}
	c.rows[i] = l.row
	if c.words != nil {
		c.words[i] = l.words
	}
	c.modSeq = max(c.modSeq, l.modSeq)
}

// meets reports whether a walk has a UID of the chunk's page.
func (c *chunk) meets(walk *uids.Walker) bool {
	first := c.page << pageBits
	return walk.Meets(imap.UID(first), imap.UID(first|pageMask))
}

// clone returns a copy that can be changed.
func (c *chunk) clone() *chunk {
	d := &chunk{page: c.page, modSeq: c.modSeq, rows: append(make([]row, 0, pageSize), c.rows...)}
	if c.words != nil {
		d.words = append(make([][]imap.Flag, 0, pageSize), c.words...)
	}
	return d
}

// with returns the table after a change that added rows.
func (t *table) with(added []listed, modSeq uint64) *table {
	n := &table{modSeq: modSeq, count: t.count + len(added), chunks: append(make([]*chunk, 0, len(t.chunks)+1+len(added)/pageSize), t.chunks...)}
	own := false // whether the last chunk is nobody else's yet
	for _, l := range added {
		page := pageOf(l.uid)
		last := len(n.chunks) - 1
		switch {
		case last < 0 || n.chunks[last].page != page:
			n.chunks = append(n.chunks, newChunk(page))
			own = true
		case !own:
			shared := *n.chunks[last]
			n.chunks[last] = &shared
			own = true
		}
		n.chunks[len(n.chunks)-1].push(l)
	}
	return n
}

// last is the highest UID, 0 when there is none.
func (t *table) last() uint32 {
	if len(t.chunks) == 0 {
		return 0
	}
	c := t.chunks[len(t.chunks)-1]
	return c.rows[len(c.rows)-1].uid
}

// from yields the rows from a UID on.
func (t *table) from(uid uint32) iter.Seq[*row] {
	return func(yield func(*row) bool) {
		at, _ := slices.BinarySearchFunc(t.chunks, pageOf(uid), func(c *chunk, page uint32) int { return cmp.Compare(c.page, page) })
		for _, c := range t.chunks[at:] {
			for i := range c.rows {
				if c.rows[i].uid >= uid && !yield(&c.rows[i]) {
					return
				}
			}
		}
	}
}

// chunkOf returns the chunk of a page, nil when no row is in it.
func (t *table) chunkOf(page uint32) *chunk {
	i, ok := slices.BinarySearchFunc(t.chunks, page, func(c *chunk, page uint32) int { return cmp.Compare(c.page, page) })
	if !ok {
		return nil
	}
	return t.chunks[i]
}
