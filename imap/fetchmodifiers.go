package imap

// cutPage leaves of spans what the page of an UID FETCH holds: the messages
// that exist, counted in their order (RFC 9394 §3.3).
func (r *fetchRequest) cutPage(spans []span) []span {
	if r.page == (page{}) {
		return spans
	}
	n := 0
	for _, s := range spans {
		n += s.to - s.from
	}
	from, to := r.page.of(n)
	var kept []span
	at := 0 // how many come before the span
	for _, s := range spans {
		length := s.to - s.from
		k := span{s.from + max(from-at, 0), s.from + min(to-at, length)}
		if at += length; k.from < k.to {
			kept = append(kept, k)
		}
	}
	return kept
}
