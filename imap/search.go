package imap

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// searchRequest is SEARCH or UID SEARCH (RFC 9051 §6.4.4).
type searchRequest struct {
	kind     numKind
	extended bool // RETURN was given: the answer is ESEARCH
	returns  searchReturns
	key      key
	modSeqs  bool     // a key asks for mod-sequences (RFC 7162 §3.1.5)
	lowest   imap.UID // see result
}

// searchReturns is a set of result options (RFC 4731, RFC 5182).
type searchReturns uint8

const (
	returnMin searchReturns = 1 << iota
	returnMax
	returnAll
	returnCount
	returnSave
)

var searchOptions = map[string]searchReturns{
	"MIN": returnMin, "MAX": returnMax, "ALL": returnAll, "COUNT": returnCount, "SAVE": returnSave,
}

var errBadCharset = no("BADCHARSET (US-ASCII UTF-8)", "Charset not supported")

func searchParser(kind numKind) func(*parser) request {
	return func(p *parser) request {
		r := &searchRequest{kind: kind}
		p.space()
		if p.keyword("RETURN") {
			p.space()
			r.extended = true
			p.list(func() { r.option(p) })
			p.space()
		}
		if r.returns == 0 {
			r.returns = returnAll
		}
		if p.keyword("CHARSET") {
			p.space()
			switch strings.ToUpper(p.astring()) {
			case "US-ASCII", "UTF-8":
			default:
				p.refuse(errBadCharset)
			}
			p.space()
		}
		r.key = (&keyParser{parser: p}).all()
		r.modSeqs = p.modSeqs
		return r
	}
}

func (r *searchRequest) option(p *parser) {
	o, ok := searchOptions[p.word()]
	if !ok {
		p.fail("Unknown RETURN option")
	}
	r.returns |= o
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
	found, err := r.search(ctx, s)
	if err != nil {
		if r.returns&returnSave != 0 {
			v.saved = nil // RFC 5182 §2.1
		}
		return result{}, err
	}
	if r.returns&returnSave != 0 {
		v.saved = r.saved(v, found)
	}
	switch {
	case r.returns == returnSave:
	case r.extended || s.enabled(rev2):
		r.tellExtended(s, r.numbers(v, found), r.highest(v, found))
	default:
		r.tell(s, r.numbers(v, found), r.highest(v, found))
	}
	return result{lowest: r.lowest}, nil
}

// search returns the indexes of the messages that match. A message that is
// gone or can't be read does not match.
func (r *searchRequest) search(ctx context.Context, s *session) (found []int, err error) {
	logged := false
	c := &candidate{view: s.view}
	defer c.forget()
	n, budget := s.view.len(), s.messageBudget()
	for k := range n {
		i := budget.order(k, n)
		c.take(i)
		if !budget.spend(r.key, c) {
			continue
		}
		if budget.over {
			r.lowest = budget.lowest
			break
		}
		s.progress(k, n)
		ok, err := r.key.match(ctx, c)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, storage.ErrNoMailbox):
			return nil, errMailboxGone
		case !errors.Is(err, storage.ErrNoMessage) && !logged:
			logged = true
			s.log(ctx, slog.LevelError, "message could not be searched", err, "mailbox", s.view.name, "uid", c.entry.uid)
		}
		if ok && err == nil {
			found = append(found, i)
		}
	}
	budget.sort(found)
	return found, nil
}

// saved is what "$" means afterwards (RFC 5182 §2.1).
func (r *searchRequest) saved(v *view, found []int) []imap.UID {
	if len(found) > 0 && r.returns&(returnAll|returnCount) == 0 && r.returns&(returnMin|returnMax) != 0 {
		var ends []int
		if r.returns&returnMin != 0 {
			ends = append(ends, found[0])
		}
		if last := found[len(found)-1]; r.returns&returnMax != 0 && (len(ends) == 0 || last != ends[0]) {
			ends = append(ends, last)
		}
		found = ends
	}
	uids := make([]imap.UID, len(found))
	for k, i := range found {
		uids[k] = v.at(i).uid
	}
	return uids
}

// numbers turns indexes into what the command counts in.
func (r *searchRequest) numbers(v *view, found []int) []uint32 {
	numbers := make([]uint32, len(found))
	for k, i := range found {
		if r.kind == byUID {
			numbers[k] = uint32(v.at(i).uid)
		} else {
			numbers[k] = uint32(i + 1)
		}
	}
	return numbers
}

func (r *searchRequest) tell(s *session, numbers []uint32, modseq uint64) {
	o := &s.out
	o.text("* SEARCH")
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

// tellExtended sends ESEARCH (RFC 9051 §7.3.4).
func (r *searchRequest) tellExtended(s *session, numbers []uint32, modseq uint64) {
	o := &s.out
	o.text(`* ESEARCH (TAG "`)
	o.text(s.running.tag)
	o.text(`")`)
	if r.kind == byUID {
		o.text(" UID")
	}
	item := func(which searchReturns, name string, n uint32) {
		if r.returns&which != 0 {
			o.text(name)
			o.number(uint64(n))
		}
	}
	if n := len(numbers); n > 0 {
		item(returnMin, " MIN ", numbers[0])
		item(returnMax, " MAX ", numbers[n-1])
		if r.returns&returnAll != 0 {
			o.text(" ALL ")
			o.b = appendUIDs(o.b, numbers)
		}
	}
	item(returnCount, " COUNT ", uint32(len(numbers)))
	if modseq != 0 {
		o.text(" MODSEQ ")
		o.number(modseq)
	}
	o.end()
}
