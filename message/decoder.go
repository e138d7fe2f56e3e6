package message

// Decoder is DecodePart for many indexes, one after the other: it uses the
// memory of those that are no longer needed again. The zero value is ready to
// use. It is for one goroutine.
type Decoder struct {
	parts     slab[Part]
	children  slab[*Part]
	envelopes slab[Envelope]
	params    slab[Param]
	addresses slab[Address]
	languages slab[string]
}

// Reset says that the indexes that Decode returned are no longer used.
func (d *Decoder) Reset() {
	d.parts.reset()
	d.children.reset()
	d.envelopes.reset()
	d.params.reset()
	d.addresses.reset()
	d.languages.reset()
}

// slab hands out slices of zero values. What it keeps for later is bounded.
type slab[T any] struct {
	chunk []T
	used  int
}

// slabKept is how many values a slab keeps when it is reset.
const slabKept = 4096

func (s *slab[T]) take(n int) []T {
	if s.used+n > len(s.chunk) {
		// What was handed out stays where it is.
		s.chunk, s.used = make([]T, max(n, min(2*len(s.chunk), slabKept))), 0
	}
	s.used += n
	return s.chunk[s.used-n : s.used : s.used]
}

func (s *slab[T]) reset() {
	if len(s.chunk) > slabKept {
		s.chunk = nil
	}
	clear(s.chunk[:min(s.used, len(s.chunk))])
	s.used = 0
}
