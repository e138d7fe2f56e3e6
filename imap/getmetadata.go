package imap

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

// maxMetadataNames bounds the names that are asked for at once.
const maxMetadataNames = 100

// metadataQuery says which annotations are asked for (RFC 5464 §4.2).
type metadataQuery struct {
	names   []metadataName
	depth   int   // levels below a name that are asked for, too
	maxSize int64 // octets of a value; longer ones are left out
	long    int   // octets of the longest one that was; 0: none
}

// getMetadataRequest is GETMETADATA (RFC 5464 §4.2).
type getMetadataRequest struct {
	mailbox string
	server  bool
	query   metadataQuery
}

// parseGetMetadata reads GETMETADATA. Some clients write the options behind
// the mailbox, as the RFC's examples do (errata 2785, 2786).
func parseGetMetadata(p *parser) request {
	p.space()
	r := &getMetadataRequest{query: newMetadataQuery()}
	if p.peek() == '(' {
		r.query.options(p)
		p.space()
	}
	r.mailbox, r.server = p.nameOrEmpty()
	p.space()
	if p.atMetadataOptions() {
		r.query.options(p)
		p.space()
	}
	r.query.entries(p)
	return r
}

func newMetadataQuery() metadataQuery { return metadataQuery{maxSize: math.MaxInt64} }

// atMetadataOptions reports whether a list of options stands next, and not one
// of names, which begin with "/" or are strings.
func (p *parser) atMetadataOptions() bool {
	rest := p.buf[p.pos:]
	return len(rest) > 1 && rest[0] == '(' && classes[rest[1]]&atomChar != 0 && rest[1] != '/' && rest[1] != '~'
}

func (q *metadataQuery) options(p *parser) {
	given := false
	p.list(func() {
		given = true
		switch p.word() {
		case "MAXSIZE":
			p.space()
			q.maxSize = p.number64()
		case "DEPTH":
			p.space()
			switch p.word() {
			case "0":
				q.depth = 0
			case "1":
				q.depth = 1
			case "INFINITY":
				q.depth = storage.MaxAnnotationName
			default:
				p.fail("Invalid DEPTH")
			}
		default:
			p.fail("Unknown GETMETADATA option")
		}
	})
	if !given {
		p.fail("Missing GETMETADATA options")
	}
}

// entries reads one name or a list of them.
func (q *metadataQuery) entries(p *parser) {
	read := func() {
		if len(q.names) >= maxMetadataNames {
			p.fail("Too many entries")
			return
		}
		q.names = append(q.names, p.metadataName())
	}
	if p.peek() != '(' {
		read()
		return
	}
	if p.list(read); len(q.names) == 0 {
		p.fail("Missing entries")
	}
}

func (r *getMetadataRequest) run(ctx context.Context, s *session) (result, error) {
	var of notePlace
	var err error
	if r.server {
		of, err = s.serverNotes()
	} else {
		of, err = s.notesOf(ctx, r.mailbox)
	}
	if err == nil {
		err = s.tellMetadata(ctx, r.mailbox, of, &r.query)
	}
	if err != nil {
		return result{}, err
	}
	return result{code: r.query.code()}, nil
}

// code tells of values that were left out (RFC 5464 §4.2.1).
func (q *metadataQuery) code() string {
	if q.long == 0 {
		return ""
	}
	return "METADATA LONGENTRIES " + strconv.Itoa(q.long)
}

// tellMetadata sends the annotations of a place that are asked for. It holds
// all of them, storage.MaxAnnotationsSize octets at most.
func (s *session) tellMetadata(ctx context.Context, mailbox string, of notePlace, q *metadataQuery) error {
	list, err := of.list(ctx, s.user)
	if err != nil {
		return err
	}
	if list, err = s.withSpecialUse(ctx, of, q, list); err != nil {
		return err
	}
	if values := q.pick(list); len(values) > 0 {
		s.out.metadata(mailbox, values)
	}
	return nil
}

// pick returns those of a list that are asked for, each once, and after them
// names that are asked for and have neither a value nor any below.
func (q *metadataQuery) pick(list []metadataValue) (values []metadataValue) {
	asked := make(map[string]*metadataName, len(q.names))
	for i := range q.names {
		asked[q.names[i].full()] = &q.names[i]
	}
	met := make(map[*metadataName]bool)
	slices.SortFunc(list, func(a, b metadataValue) int { return strings.Compare(a.name, b.name) })
	for _, v := range list {
		n := q.asks(asked, v.name)
		if n == nil {
			continue
		}
		met[n] = true
		if int64(len(v.value)) > q.maxSize {
			q.long = max(q.long, len(v.value))
			continue
		}
		if n.full() == v.name {
			v.name = n.text // in the letter case that the client knows
		}
		values = append(values, v)
	}
	for i := range q.names {
		if n := asked[q.names[i].full()]; n.name != "" && !met[n] {
			met[n] = true
			values = append(values, metadataValue{name: n.text})
		}
	}
	return values
}

// asks returns the name by which an annotation is asked for, nil when none does.
func (q *metadataQuery) asks(asked map[string]*metadataName, name string) *metadataName {
	for range q.depth + 1 {
		if n := asked[name]; n != nil {
			return n
		}
		i := strings.LastIndexByte(name, '/')
		if i <= 0 {
			return nil
		}
		name = name[:i]
	}
	return nil
}

// withSpecialUse adds the special use of a mailbox when it is asked for, since
// stores keep it among the mailbox's attributes (RFC 6154 §4).
func (s *session) withSpecialUse(ctx context.Context, of notePlace, q *metadataQuery, list []metadataValue) ([]metadataValue, error) {
	asked := func(n metadataName) bool {
		return n.scope == privateScope && (n.name == specialUseEntry || n.name == "" && q.depth > 0)
	}
	if of.server != nil || !slices.ContainsFunc(q.names, asked) {
		return list, nil
	}
	infos, err := of.account.Mailboxes(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(infos, func(m storage.MailboxInfo) bool { return m.Name == of.name && m.ID != 0 })
	if i < 0 || len(infos[i].Attrs) == 0 {
		return list, nil
	}
	text := ""
	for _, a := range infos[i].Attrs {
		text += " " + string(a)
	}
	return append(list, metadataValue{privateScope + specialUseEntry, []byte(text[1:])}), nil
}

// listMetadata reads METADATA among the return options of LIST (RFC 9590).
func (p *parser) listMetadata() *metadataQuery {
	q := newMetadataQuery()
	p.space()
	if p.atMetadataOptions() {
		q.options(p)
		p.space()
	}
	q.entries(p)
	return &q
}

// tellListed sends the annotations of a mailbox that LIST has found. Of one
// that is gone or whose annotations are not for the user nothing is told.
func (q *metadataQuery) tellListed(ctx context.Context, s *session, mailbox string) error {
	of, err := s.notesOf(ctx, mailbox)
	if err == nil {
		err = s.tellMetadata(ctx, mailbox, of, q)
	}
	if errors.Is(err, errNoPerm) {
		return nil
	}
	return ifThere(err)
}
