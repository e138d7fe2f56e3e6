package ldapstub

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// search answers a search: entries, references, and the end.
func (c *session) search(id int64, p *ber.Packet) bool {
	q, ok := parseQuery(p)
	if !ok {
		return c.send(id, result(tagDone, answer{2, "malformed search"}))
	}
	packets := c.s.find(q, c.bound)
	packets, control := q.page(packets)
	var out []byte
	for i, op := range packets {
		m := message(id, op)
		if i == len(packets)-1 && control != nil {
			m.AppendChild(control)
		}
		out = append(out, m.Bytes()...)
	}
	switch c.fault() {
	case ResetMidAnswer:
		_, _ = c.nc.Write(out[:len(out)/2])
		reset(c.raw)
		return false
	case HalfAnswer:
		_, _ = c.nc.Write(out[:len(out)/2])
		return false
	}
	_, err := c.nc.Write(out)
	return err == nil
}

// query is a search request (RFC 4511 §4.5.1).
type query struct {
	base       string
	scope      int64
	sizeLimit  int64
	filter     *ber.Packet
	attributes []string
	pageSize   int // 0: not in pages
	cookie     int // where the page begins
}

func parseQuery(p *ber.Packet) (q query, ok bool) {
	op := p.Children[1]
	if len(op.Children) < 8 {
		return q, false
	}
	q.base, _ = op.Children[0].Value.(string)
	q.scope, _ = op.Children[1].Value.(int64)
	q.sizeLimit, _ = op.Children[3].Value.(int64)
	q.filter = op.Children[6]
	for _, a := range op.Children[7].Children {
		name, _ := a.Value.(string)
		q.attributes = append(q.attributes, name)
	}
	q.parsePage(p)
	return q, true
}

// find returns the answer to a search.
func (s *Server) find(q query, bound string) []*ber.Packet {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch a, ok := s.answers[Search]; {
	case ok && a.code == 10:
		return []*ber.Packet{s.referral(result(tagDone, a), ber.ClassContext, 3)}
	case ok:
		return []*ber.Packet{result(tagDone, a)}
	case s.bindFirst && bound == "":
		return []*ber.Packet{result(tagDone, answer{1, "a successful bind must be completed on the connection"})}
	case q.base != "" && !slices.ContainsFunc(s.entries, func(e entry) bool { return same(e.dn, q.base) }):
		return []*ber.Packet{result(tagDone, answer{code: 32})}
	}
	limit, end := int(q.sizeLimit), answer{}
	if s.sizeLimit > 0 && (limit == 0 || s.sizeLimit < limit) && q.pageSize == 0 {
		limit = s.sizeLimit
	}
	var found []*ber.Packet
	for i := range s.entries {
		if e := &s.entries[i]; !inScope(e.dn, q) || !s.fits(e, q.filter) {
			continue
		}
		if limit > 0 && len(found) == limit {
			end.code = 4
			break
		}
		found = append(found, s.encode(&s.entries[i], q.attributes))
	}
	if len(s.referrals) > 0 && q.scope == 2 {
		found = append(found, s.references())
	}
	return append(found, result(tagDone, end))
}

// references is a continuation reference (RFC 4511 §4.5.3).
func (s *Server) references() *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tagReference, nil, "")
	for _, uri := range s.referrals {
		p.AppendChild(text(uri))
	}
	return p
}

// referral adds a referral to a result (RFC 4511 §4.1.10).
func (s *Server) referral(to *ber.Packet, class ber.Class, tag ber.Tag) *ber.Packet {
	p := ber.Encode(class, ber.TypeConstructed, tag, nil, "")
	for _, uri := range s.referrals {
		p.AppendChild(text(uri))
	}
	to.AppendChild(p)
	return to
}

func inScope(dn string, q query) bool {
	dn, base := strings.ToLower(clean(dn)), strings.ToLower(clean(q.base))
	above, below := strings.CutSuffix(dn, ","+base)
	if base == "" {
		above, below = dn, true
	}
	switch q.scope {
	case 0:
		return dn == base
	case 1:
		return below && !strings.Contains(above, ",")
	}
	return dn == base || below
}

// encode makes an entry of an answer, with the attributes that were asked for.
func (s *Server) encode(e *entry, wanted []string) *ber.Packet {
	list := ber.NewSequence("")
	for _, name := range e.names {
		if strings.EqualFold(name, "userPassword") && !asked(wanted, name) {
			continue
		}
		option, from, ok := wantedAs(wanted, name)
		if !ok {
			continue
		}
		values := e.attributes[name]
		if s.maxValues > 0 && (option || len(values) > s.maxValues) {
			list.AppendChild(attribute(name, nil))
			name, values = ranged(name, values, from, s.maxValues)
		}
		list.AppendChild(attribute(name, values))
	}
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tagEntry, nil, "")
	p.AppendChild(text(e.dn))
	p.AppendChild(list)
	return p
}

func attribute(name string, values []string) *ber.Packet {
	set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
	for _, v := range values {
		set.AppendChild(text(v))
	}
	a := ber.NewSequence("")
	a.AppendChild(text(name))
	a.AppendChild(set)
	return a
}

func asked(wanted []string, name string) bool {
	return slices.ContainsFunc(wanted, func(w string) bool { return strings.EqualFold(w, name) })
}

// wantedAs reports whether an attribute was asked for, and from which value on.
func wantedAs(wanted []string, name string) (option bool, from int, ok bool) {
	if len(wanted) == 0 || asked(wanted, "*") || asked(wanted, name) {
		return false, 0, true
	}
	for _, w := range wanted {
		if base, option, found := strings.Cut(w, ";range="); found && strings.EqualFold(base, name) {
			low, _, _ := strings.Cut(option, "-")
			from, _ = strconv.Atoi(low)
			return true, from, true
		}
	}
	return false, 0, false
}

// ranged cuts a range out of many values ("member;range=0-1499", the last one
// ends with "*").
func ranged(name string, values []string, from, n int) (string, []string) {
	from = min(from, len(values))
	if to := from + n; to < len(values) {
		return fmt.Sprintf("%s;range=%d-%d", name, from, to-1), values[from:to]
	}
	return fmt.Sprintf("%s;range=%d-*", name, from), values[from:]
}
