package imap

// fetchModifiers are what may follow the items of FETCH (RFC 7162 §3.1.4.1,
// §3.2.6, RFC 9394 §3.3).
var fetchModifiers = map[string]func(p *parser, r *fetchRequest){
	"CHANGEDSINCE": func(p *parser, r *fetchRequest) {
		p.space()
		if r.since != 0 {
			p.fail("Repeated FETCH modifier")
		}
		r.since = p.modSeq()
	},
	"PARTIAL": func(p *parser, r *fetchRequest) {
		if r.page != (page{}) || r.kind != byUID {
			p.fail("PARTIAL not allowed here")
		}
		p.space()
		r.page = p.page()
	},
	"VANISHED": func(p *parser, r *fetchRequest) {
		if r.vanished || r.kind != byUID {
			p.fail("VANISHED not allowed here")
		}
		r.vanished = true
	},
}

// fetchModifiers reads the modifiers of FETCH, if there are any.
func (p *parser) fetchModifiers(r *fetchRequest) {
	if !p.accept(' ') {
		return
	}
	count := 0
	p.list(func() {
		count++
		read, ok := fetchModifiers[p.word()]
		if !ok {
			p.fail("Unknown FETCH modifier")
			return
		}
		read(p, r)
	})
	if count == 0 || r.vanished && r.since == 0 {
		p.fail("Missing FETCH modifier")
	}
}

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
