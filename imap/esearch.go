package imap

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// multiRequest is ESEARCH: a search by UID in several mailboxes (RFC 7377).
type multiRequest struct {
	search searchRequest
	in     []mailboxFilter
	names  int // in all filters
}

// Bounds of one ESEARCH.
const (
	maxFilters       = 100
	maxFiltersNames  = 1000 // in all filters
	maxMultiSearched = 1000 // mailboxes
)

var (
	errTooManyMailboxes = no(imap.ResponseCodeLimit, "Too many mailboxes to search at once")
	errNothingSelected  = bad("No mailbox is selected")
)

// parseESearch reads ESEARCH.
func parseESearch(p *parser) request {
	r := &multiRequest{search: searchRequest{kind: byUID}}
	p.space()
	if p.keyword("IN") {
		p.space()
		p.expect('(')
		r.filter(p)
		for p.accept(' ') {
			if p.peek() == '(' {
				p.fail("Unknown scope option") // RFC 7377 §2.2: none are defined
				break
			}
			r.filter(p)
		}
		p.expect(')')
		p.space()
	}
	r.search.options(p)
	r.search.extended = true
	r.search.charsetOption(p)
	r.search.keys(p)
	switch {
	case p.err != nil:
	case r.search.key.numbered:
		p.fail("Message numbers can't be searched for in several mailboxes") // RFC 7377 §2.1
	case slices.ContainsFunc(r.in, func(f mailboxFilter) bool { return f.kind == filterSelectedDelayed }):
		p.fail("There is nothing to delay in a search")
	case r.in != nil && r.search.returns&returnSave != 0:
		p.fail("SAVE is for the selected mailbox only")
	}
	return r
}

// filter reads one filter.
func (r *multiRequest) filter(p *parser) {
	f := p.mailboxFilter()
	r.in, r.names = append(r.in, f), r.names+len(f.names)
	if len(r.in) > maxFilters || r.names > maxFiltersNames {
		p.fail("Too many mailbox filters")
	}
}

func (r *multiRequest) run(ctx context.Context, s *session) (result, error) {
	if r.search.refused != nil {
		return result{}, r.search.refused
	}
	if r.in == nil {
		if s.view == nil {
			return result{}, errNothingSelected
		}
		return result{}, r.view(ctx, s, s.view)
	}
	if r.search.returns&returnUpdate != 0 {
		s.tellNoUpdate(s.running.tag)
	}
	seen, lists := make(map[string]bool), make(listings)
	for _, f := range r.in {
		if f.kind == filterSelected && s.view == nil {
			return result{}, errNothingSelected
		}
		err := f.each(ctx, s, lists, func(name string) error {
			if seen[name] {
				return nil
			}
			if seen[name] = true; len(seen) > maxMultiSearched {
				return errTooManyMailboxes
			}
			return r.mailbox(ctx, s, name)
		})
		if err != nil {
			return result{}, err
		}
	}
	return result{}, nil
}

// mailbox searches one mailbox. One that is not there, or that the user may not
// read, has no messages.
func (r *multiRequest) mailbox(ctx context.Context, s *session, name string) error {
	if s.view != nil && s.view.name == name {
		return r.view(ctx, s, s.view)
	}
	box, err := s.mailbox(ctx, name, storage.RightRead)
	if err != nil {
		return passOverClosed(err)
	}
	v := &view{box: box, name: name, readOnly: true, board: s.server.boards.open(box.ID())}
	defer s.giveBack(v)
	if err = v.load(ctx); err == nil {
		err = r.view(ctx, s, v)
	}
	return passOverClosed(err)
}

// passOverClosed forgives that a mailbox, which is not the selected one, is not
// there, or not for the user.
func passOverClosed(err error) error {
	_, refused := errors.AsType[*imap.Error](err)
	if refused || errors.Is(err, errMailboxGone) || errors.Is(err, storage.ErrNoMailbox) {
		return nil
	}
	return err
}

// view searches one view. Mailboxes in which nothing was found are not told of
// (RFC 7377 §2.1).
func (r *multiRequest) view(ctx context.Context, s *session, v *view) error {
	run := s.newRun(v)
	run.whole = true
	found, err := r.search.search(ctx, run)
	if err != nil {
		return err
	}
	if v == s.view && r.search.returns&returnSave != 0 {
		v.saved = r.search.saved(v, found.at)
	}
	if len(found.at) == 0 || r.search.returns&^(returnUpdate|returnContext) == returnSave {
		return nil
	}
	var more output
	more.utf8 = s.out.utf8
	more.text(" MAILBOX ")
	more.mailbox(v.name)
	more.text(" UIDVALIDITY " + strconv.FormatUint(uint64(v.validity), 10))
	r.search.tellExtended(s, string(more.b), found.numbered(byUID, v), found)
	return nil
}
