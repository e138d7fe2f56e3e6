package local

// laterHeap holds destinations by when their first recipient is due.
type laterHeap []*destination

func (h laterHeap) Len() int { return len(h) }

func (h laterHeap) Less(i, j int) bool {
	a, _ := h[i].due()
	b, _ := h[j].due()
	return a < b
}

func (h laterHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *laterHeap) Push(x any) {
	d := x.(*destination)
	d.place = len(*h)
	*h = append(*h, d)
}

func (h *laterHeap) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	d.place = -1
	return d
}

// endingHeap holds leases by when they end.
type endingHeap []*lease

func (h endingHeap) Len() int           { return len(h) }
func (h endingHeap) Less(i, j int) bool { return h[i].until < h[j].until }

func (h endingHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *endingHeap) Push(x any) {
	l := x.(*lease)
	l.place = len(*h)
	*h = append(*h, l)
}

func (h *endingHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	l.place = -1
	return l
}
