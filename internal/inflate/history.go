package inflate

// Sizes of the history: powers of two.
const (
	firstHistory = 1 << 10
	maxHistory   = 32 << 10
)

// history is the output of earlier calls that matches may point back to: a ring,
// which grows until it has the size of the window of RFC 1951, and goes round
// only then.
type history struct {
	ring  []byte
	total int64
}

// len is how far back there is something.
func (h *history) len() int { return int(min(h.total, maxHistory)) }

func (h *history) add(p []byte) {
	if skip := len(p) - maxHistory; skip > 0 {
		h.total += int64(skip)
		p = p[skip:]
	}
	for h.total+int64(len(p)) > int64(len(h.ring)) && len(h.ring) < maxHistory {
		grown := make([]byte, max(2*len(h.ring), firstHistory))
		copy(grown, h.ring)
		h.ring = grown
	}
	for len(p) > 0 {
		n := copy(h.ring[h.total&int64(len(h.ring)-1):], p)
		h.total += int64(n)
		p = p[n:]
	}
}

// copy copies into p what begins back octets before the end, up to the end of
// the ring or of the history.
func (h *history) copy(p []byte, back int) int {
	from := int((h.total - int64(back)) & int64(len(h.ring)-1))
	return copy(p, h.ring[from:min(len(h.ring), from+back)])
}
