package imap

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/posthouse-mail/posthouse/internal/utf7"
	"github.com/posthouse-mail/posthouse/storage"
)

// listRequest is LIST with its extensions (RFC 9051 §6.3.9, RFC 5258,
// RFC 5819, RFC 6154, RFC 8440, RFC 9590), or LSUB.
type listRequest struct {
	patterns []string // with the reference before them
	options  listOptions
	status   []string       // RETURN (STATUS (…)); nil: not asked for
	metadata *metadataQuery // RETURN (METADATA …); nil: not asked for
	lsub     bool
}

// listOptions is a set of selection and return options.
type listOptions uint8

const (
	selectSubscribed listOptions = 1 << iota
	selectRemote                 // there are no remote mailboxes
	selectRecursive
	selectSpecialUse
	returnSubscribed
	returnChildren   // is always returned
	returnSpecialUse // is always returned
	returnMyRights   // RFC 8440
)

var listSelections = map[string]listOptions{
	"SUBSCRIBED":     selectSubscribed | returnSubscribed,
	"REMOTE":         selectRemote,
	"RECURSIVEMATCH": selectRecursive,
	"SPECIAL-USE":    selectSpecialUse,
}

var listReturns = map[string]listOptions{
	"SUBSCRIBED":  returnSubscribed,
	"CHILDREN":    returnChildren,
	"SPECIAL-USE": returnSpecialUse,
	"MYRIGHTS":    returnMyRights,
}

// Bounds of LIST.
const (
	maxPatterns = 100
	maxPattern  = storage.MaxName
)

// parseList reads LIST.
func parseList(p *parser) request {
	p.space()
	r := &listRequest{}
	if p.peek() == '(' {
		p.list(func() { r.option(p, p.word(), listSelections) })
		if r.options&selectRecursive != 0 && r.options&selectSubscribed == 0 {
			p.fail("RECURSIVEMATCH needs SUBSCRIBED")
		}
		p.space()
	}
	reference := p.astring()
	p.space()
	if p.peek() == '(' {
		p.list(func() { r.pattern(p, reference) })
	} else {
		r.pattern(p, reference)
	}
	if p.accept(' ') {
		if p.word() != "RETURN" {
			p.fail("Unknown LIST argument")
		}
		p.space()
		p.list(func() { r.returns(p) })
	}
	return r
}

// parseLsub reads LSUB (RFC 3501 §6.3.9).
func parseLsub(p *parser) request {
	p.space()
	r := &listRequest{lsub: true, options: selectSubscribed}
	reference := p.astring()
	p.space()
	r.pattern(p, reference)
	return r
}

func (r *listRequest) option(p *parser, word string, known map[string]listOptions) {
	o, ok := known[word]
	if !ok {
		p.fail("Unknown LIST option")
	}
	r.options |= o
}

func (r *listRequest) returns(p *parser) {
	word := p.word()
	if word == "STATUS" {
		p.space()
		r.status = p.statusItems()
		return
	}
	if word == "METADATA" {
		r.metadata = p.listMetadata()
		return
	}
	r.option(p, word, listReturns)
}

// pattern reads a pattern, which may hold wildcards where a name is an atom.
func (r *listRequest) pattern(p *parser, reference string) {
	var text string
	if p.peek() == '"' || p.atLiteral() {
		text = p.string()
	} else {
		text = p.run(listOK)
	}
	text = reference + text
	if !p.utf8 {
		decoded, err := utf7.Decode(text)
		if err != nil {
			return // no name is like that
		}
		text = decoded
	}
	if len(text) > maxPattern || len(r.patterns) >= maxPatterns {
		p.fail("Pattern too long")
	}
	r.patterns = append(r.patterns, norm.NFC.String(text))
}

func (r *listRequest) run(ctx context.Context, s *session) (result, error) {
	if len(r.patterns) == 1 && r.patterns[0] == "" && !r.lsub {
		s.out.text(`* LIST (\Noselect) "` + storage.Separator + `" ""`) // asks for the separator
		s.out.end()
		return result{}, nil
	}
	var matchers []*listPattern
	for _, text := range r.patterns {
		matchers = append(matchers, newListPattern(text))
	}
	infos, err := s.reachable(ctx, matchers)
	if err != nil {
		return result{}, err
	}
	t := newTree(infos)
	if r.options&selectRecursive != 0 || r.lsub {
		infos = t.withParents(infos)
	}
	for _, info := range infos {
		if !matchesAny(matchers, &info) || !r.selects(info, t) {
			continue
		}
		r.tell(s, info, t)
		if info.ID == 0 {
			continue
		}
		if err := r.tellMore(ctx, s, info.Name); err != nil {
			return result{}, err
		}
	}
	if r.metadata != nil {
		return result{code: r.metadata.code()}, nil
	}
	return result{}, nil
}

func matchesAny(matchers []*listPattern, info *storage.MailboxInfo) bool {
	for _, m := range matchers {
		if m.match(info.Name) && (m.levels || !isLevelOnly(info)) {
			return true
		}
	}
	return false
}

// tellMore sends what else was asked for of a mailbox that is there, as far as
// the rights let. It may have been deleted since it was listed.
func (r *listRequest) tellMore(ctx context.Context, s *session, name string) (err error) {
	if r.options&returnMyRights != 0 {
		err = s.tellMyRights(ctx, name)
	}
	if r.status != nil && ifThere(err) == nil {
		err = s.tellStatus(ctx, name, r.status)
	}
	if r.metadata != nil && ifThere(err) == nil {
		err = r.metadata.tellListed(ctx, s, name)
	}
	if errors.Is(err, errNoPerm) {
		return nil
	}
	return ifThere(err)
}

// selects reports whether a name that matches a pattern is in the answer.
func (r *listRequest) selects(info storage.MailboxInfo, t *tree) bool {
	if r.options&selectSpecialUse != 0 && (info.ID == 0 || len(info.Attrs) == 0) {
		return false
	}
	if r.options&selectSubscribed == 0 {
		return info.ID != 0 || isLevelOnly(&info)
	}
	switch {
	case info.Subscribed:
		return true
	case r.lsub: // a parent stands for children that "%" does not reach (RFC 3501 §6.3.9)
		return t.subscribed[info.Name] && strings.Contains(r.patterns[0], "%")
	}
	return r.options&selectRecursive != 0 && t.subscribed[info.Name]
}

func (r *listRequest) tell(s *session, info storage.MailboxInfo, t *tree) {
	o := &s.out
	if r.lsub {
		o.text("* LSUB (")
		if info.ID == 0 || !info.Subscribed {
			o.text(`\Noselect`)
		}
	} else {
		o.text("* LIST (")
		r.tellAttrs(o, info, t)
	}
	o.text(`) "` + storage.Separator + `" `)
	o.mailbox(info.Name)
	if r.options&selectRecursive != 0 && t.subscribed[info.Name] {
		o.text(` ("CHILDINFO" ("SUBSCRIBED"))`)
	}
	o.end()
}

func (r *listRequest) tellAttrs(o *output, info storage.MailboxInfo, t *tree) {
	if t.children[info.Name] {
		o.text(`\HasChildren`)
	} else {
		o.text(`\HasNoChildren`)
	}
	if info.ID == 0 && !isLevelOnly(&info) {
		o.text(` \NonExistent`)
	}
	if info.Subscribed && r.options&returnSubscribed != 0 {
		o.text(` \Subscribed`)
	}
	for _, a := range info.Attrs {
		o.byte(' ')
		o.text(string(a))
	}
}
