package imap

import (
	"context"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// searchRequest is SEARCH, SORT, or one of them by UID (RFC 9051 §6.4.4,
// RFC 5256 §3).
type searchRequest struct {
	kind     numKind
	extended bool // RETURN was given: the answer is ESEARCH
	returns  searchReturns
	page     page      // with returnPartial
	order    []sortKey // of SORT; nil: SEARCH
	key      key
	modSeqs  bool  // a key asks for mod-sequences (RFC 7162 §3.1.5)
	refused  error // what the command is answered whatever there is
}

var errBadCharset = no("BADCHARSET (US-ASCII UTF-8)", "Charset not supported")

// searchParser reads SEARCH and UID SEARCH.
func searchParser(kind numKind) func(*parser) request {
	return func(p *parser) request {
		r := &searchRequest{kind: kind}
		p.space()
		r.options(p)
		r.charsetOption(p)
		r.keys(p)
		return r
	}
}

// charsetOption reads "CHARSET charset SP" where it may be left out. Once
// UTF8=ACCEPT is enabled it must be (RFC 6855 §3).
func (r *searchRequest) charsetOption(p *parser) {
	if !p.keyword("CHARSET") {
		return
	}
	if p.noCharset {
		p.fail("CHARSET is not allowed once UTF8=ACCEPT is enabled")
	}
	p.space()
	r.charset(p)
}

// charset reads the charset of the strings that follow, and a space. US-ASCII
// is part of UTF-8, and all strings are checked to be that. What stands behind
// another charset is not read.
func (r *searchRequest) charset(p *parser) {
	switch strings.ToUpper(p.astring()) {
	case "US-ASCII", "UTF-8":
		p.space()
	default:
		r.refused = errBadCharset
		p.pos = len(p.buf)
	}
}

// keys reads the keys at the end of a command.
func (r *searchRequest) keys(p *parser) {
	if r.refused != nil || p.err != nil {
		return
	}
	k := &keyParser{parser: p}
	r.key = k.all()
	r.modSeqs = p.modSeqs
	if p.err == nil && k.fuzzies == 0 && r.needsScores() {
		p.fail("RELEVANCY needs FUZZY")
	}
}

// needsScores reports whether relevancy is asked for.
func (r *searchRequest) needsScores() bool {
	return r.returns&returnRelevancy != 0 || slices.ContainsFunc(r.order, func(k sortKey) bool { return k.by == byRelevancy })
}

// keyword takes a word if it is next.
func (p *parser) keyword(word string) bool {
	end := p.pos + len(word)
	if end > len(p.buf) || !strings.EqualFold(string(p.buf[p.pos:end]), word) {
		return false
	}
	if end < len(p.buf) && classes[p.buf[end]]&atomChar != 0 {
		return false
	}
	p.pos = end
	return true
}

func (r *searchRequest) run(ctx context.Context, s *session) (result, error) {
	v := s.view
	if r.modSeqs {
		s.useModSeqs()
	}
	if r.returns&returnUpdate != 0 && s.inUse(s.running.tag) {
		return result{}, bad("Tag is in use for updates")
	}
	run := s.newRun(v)
	found, err := r.search(ctx, run)
	if err != nil {
		if r.returns&returnSave != 0 {
			v.saved = nil // RFC 5182 §2.1
		}
		return result{}, err
	}
	if r.returns&returnSave != 0 {
		v.saved = r.saved(v, found.at)
	}
	switch {
	case r.returns&^(returnUpdate|returnContext) == returnSave:
	case r.extended || r.order == nil && s.enabled(rev2):
		r.tellExtended(s, "", found.numbered(r.kind, v), found)
	default:
		r.tell(s, found.numbered(r.kind, v), found.modseq)
	}
	if r.returns&returnUpdate != 0 {
		s.keepContext(r, found.at)
	}
	return result{lowest: run.lowest}, nil
}

// hits is what a search found.
type hits struct {
	at     []int  // indexes of messages, in the order of the answer
	scores []byte // of each, when they are asked for (RFC 6203 §4)
	modseq uint64 // the highest, when it is asked for (RFC 7162 §3.1.5)
}

// search returns the messages that match, in order.
func (r *searchRequest) search(ctx context.Context, run *searchRun) (found hits, err error) {
	if r.refused != nil {
		return found, r.refused
	}
	run.scored = r.needsScores()
	found.at, err = run.find(ctx, r.key)
	found.scores = run.scores
	if err == nil && r.order != nil {
		found, err = run.sort(ctx, r.order, found)
	}
	if err == nil {
		found.modseq = r.highest(run.view, found.at)
	}
	return found, err
}

// saved is what "$" means afterwards (RFC 5182 §2.1, RFC 9394 §3.1).
func (r *searchRequest) saved(v *view, found []int) []imap.UID {
	if r.returns&(returnAll|returnCount) == 0 && r.returns&(returnMin|returnMax|returnPartial) != 0 {
		var some []int
		if r.returns&returnPartial != 0 {
			from, to := r.page.of(len(found))
			some = append(some, found[from:to]...)
		}
		if len(found) > 0 && r.returns&returnMin != 0 {
			some = append(some, found[0])
		}
		if len(found) > 0 && r.returns&returnMax != 0 {
			some = append(some, found[len(found)-1])
		}
		found = some
	}
	uids := make([]imap.UID, len(found))
	for k, i := range found {
		uids[k] = v.at(i).uid
	}
	slices.Sort(uids)
	return slices.Compact(uids)
}

// numbered turns indexes into what the command counts in.
func (h hits) numbered(kind numKind, v *view) []uint32 {
	numbers := make([]uint32, len(h.at))
	for k, i := range h.at {
		numbers[k] = v.number(i, kind)
	}
	return numbers
}

// number is what a command calls the message at an index.
func (v *view) number(i int, kind numKind) uint32 {
	if kind == byUID {
		return uint32(v.at(i).uid)
	}
	return uint32(i + 1)
}

func (r *searchRequest) tell(s *session, numbers []uint32, modseq uint64) {
	o := &s.out
	if r.order == nil {
		o.text("* SEARCH")
	} else {
		o.text("* SORT")
	}
	for _, n := range numbers {
		o.byte(' ')
		o.number(uint64(n))
	}
	if modseq != 0 {
		o.text(" (MODSEQ ")
		o.number(modseq)
		o.byte(')')
	}
	o.end()
}
