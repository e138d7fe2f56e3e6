package local

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// A page holds the rows of pageSize UIDs, so that a change of many flags
// writes few keys and a list reads few. It is written when all its UIDs are
// given out, and when a row in it changes. Smaller pages make lists slower and
// larger ones make a change of one flag dearer.
const (
	pageBits = 6
	pageSize = 1 << pageBits
	pageMask = pageSize - 1
)

func pageOf(uid uint32) uint32 { return uid >> pageBits }

// appendPage writes the rows of a page up to the UID upto: those that it does
// not have are expunged. Rows above upto are in their records still.
func appendPage(b []byte, c *chunk, upto uint32) []byte {
	b = append(b, version, byte(upto&pageMask))
	var base uint64 = math.MaxUint64
	for i := range c.rows {
		base = min(base, c.rows[i].modSeq)
	}
	b = binary.AppendUvarint(b, uint64(len(c.rows)))
	b = binary.AppendUvarint(b, base)
	sets, places := c.wordSets()
	b = binary.AppendUvarint(b, uint64(len(sets)))
	for _, set := range sets {
		b = appendWords(b, set)
	}
	var date stamp
	for i := range c.rows {
		r := &c.rows[i]
		b = append(b, byte(r.uid&pageMask), byte(r.flags))
		b = binary.AppendUvarint(b, r.modSeq-base)
		b = binary.AppendVarint(b, int64(r.date-date))
		b = binary.AppendUvarint(b, uint64(r.size))
		if len(sets) > 0 {
			b = binary.AppendUvarint(b, uint64(places[i]))
		}
		date = r.date
	}
	return b
}

// wordSets returns the different sets of keywords of a chunk, and for each row
// which of them it has, counted from 1; 0 is none.
func (c *chunk) wordSets() (sets [][]imap.Flag, places []int) {
	if c.words == nil {
		return nil, nil
	}
	places = make([]int, len(c.rows))
	for i, w := range c.words {
		if len(w) == 0 {
			continue
		}
		at := slices.IndexFunc(sets, func(s []imap.Flag) bool { return slices.Equal(s, w) })
		if at < 0 {
			at = len(sets)
			sets = append(sets, w)
		}
		places[i] = at + 1
	}
	return sets, places
}

// parsePage reads a page. upto is the last UID that it tells of.
func parsePage(page uint32, b []byte) (c *chunk, upto uint32, err error) {
	first := page << pageBits
	r := newReader(b)
	upto = first + uint32(r.octet())
	n := int(r.upTo(pageSize))
	base := r.number()
	sets := make([][]imap.Flag, r.upTo(pageSize))
	for i := range sets {
		sets[i] = words[imap.Flag](r)
	}
	c = newChunk(page)
	var date stamp
	for range n {
		l := listed{row: row{uid: first + uint32(r.octet()), flags: storage.SystemFlags(r.octet())}}
		l.modSeq = base + r.number()
		date += stamp(r.signed())
		l.date = date
		l.size = int64(r.upTo(math.MaxInt64))
		if len(sets) > 0 {
			if at := r.upTo(uint64(len(sets))); at > 0 {
				l.words = sets[at-1]
			}
		}
		if k := len(c.rows); k > 0 && c.rows[k-1].uid >= l.uid || pageOf(l.uid) != page || l.uid > upto {
			return nil, 0, ErrDamaged
		}
		c.push(l)
	}
	if err := r.end(); err != nil || pageOf(upto) != page {
		return nil, 0, ErrDamaged
	}
	return c, upto, nil
}
