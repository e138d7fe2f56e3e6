package imap

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/posthouse-mail/posthouse/internal/fold"
)

// needle is a string that a search looks for, in any letter case.
type needle struct{ folded []byte }

func newNeedle(s string) *needle {
	folded, _ := fold.Append(nil, []byte(s))
	return &needle{folded}
}

// haystack is the scratch space of a search.
type haystack struct {
	raw    [16 << 10]byte
	folded []byte
}

var haystacks = sync.Pool{New: func() any { return new(haystack) }}

// in reports whether s holds the needle.
func (n *needle) in(s string) bool {
	h := haystacks.Get().(*haystack)
	defer haystacks.Put(h)
	h.folded, _ = fold.Append(h.folded[:0], []byte(s))
	return bytes.Contains(h.folded, n.folded)
}

// inReader reports whether what r yields holds the needle. It reads in
// pieces and keeps what may be the beginning of a match.
func (n *needle) inReader(r io.Reader) (bool, error) {
	if len(n.folded) == 0 {
		return true, nil
	}
	h := haystacks.Get().(*haystack)
	defer haystacks.Put(h)
	h.folded = h.folded[:0]
	pending := 0 // octets of an unfinished character at the front of raw
	for {
		k, err := r.Read(h.raw[pending:])
		filled := pending + k
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		var used int
		h.folded, used = fold.Append(h.folded, h.raw[:filled])
		pending = copy(h.raw[:], h.raw[used:filled])
		if bytes.Contains(h.folded, n.folded) {
			return true, nil
		}
		if err != nil {
			return false, nil
		}
		keep := min(len(h.folded), len(n.folded)-1)
		h.folded = h.folded[:copy(h.folded, h.folded[len(h.folded)-keep:])]
	}
}
