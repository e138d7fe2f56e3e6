package imap

import (
	"context"
	"log/slog"
	"strconv"
	"strings"

	"github.com/posthouse-mail/posthouse/proxy"
)

// idFor returns what a back end is told in ID: of the client's connection where
// the back end is told that, and what the client has said of itself where that
// passes. What a back end must not be sent is dropped.
func (p *Proxy) idFor(ctx context.Context, s *session, b *backend) []idField {
	if !b.has("ID") {
		return nil
	}
	var fields []idField
	if b.link.Backend().Tell&proxy.TellID != 0 {
		fields = idOfClient(b.link)
	}
	if p.Pass&PassID != 0 {
		for _, f := range s.clientID {
			if len(f.name) < 2 || !strings.EqualFold(f.name[:2], "x-") { // those are of who is trusted alone
				fields = append(fields, f)
			}
		}
	}
	sayable := fields[:0]
	for _, f := range fields {
		if len(sayable) < maxIDFields && f.sayable() {
			sayable = append(sayable, f)
			continue
		}
		s.log(ctx, slog.LevelWarn, "not told to the back end", nil, "id", f.name, "octets", len(f.value))
	}
	return sayable
}

// idOfClient has the names that Dovecot knows.
func idOfClient(link *proxy.Link) []idField {
	c := link.Client()
	var fields []idField
	add := func(name, value string) { fields = append(fields, idField{name: name, value: value}) }
	if c.Remote.IsValid() {
		add("x-originating-ip", c.Remote.Addr().String())
		add("x-originating-port", strconv.Itoa(int(c.Remote.Port())))
	}
	if c.Local.IsValid() {
		add("x-connected-ip", c.Local.Addr().String())
		add("x-connected-port", strconv.Itoa(int(c.Local.Port())))
	}
	add("x-proxy-ttl", strconv.Itoa(link.Hops()))
	add("x-session-id", c.Session)
	return fields
}

// sayable reports whether a field is within the bounds of RFC 2971 §3.3 and
// needs no literal.
func (f *idField) sayable() bool {
	o := &output{}
	return f.name != "" && len(f.name) <= maxIDFields && len(f.value) <= maxIDValue &&
		o.formOf(f.name) != asLiteral && o.formOf(f.value) != asLiteral
}

// tellID says fields in ID, whose answer comes before that of the next command.
// That the back end does not like them is its affair.
func (b *backend) tellID(fields []idField) error {
	if len(fields) == 0 {
		return nil
	}
	o := &output{}
	o.text("ID ")
	sep := byte('(')
	for _, f := range fields {
		o.byte(sep)
		o.string(f.name)
		o.byte(' ')
		if f.null {
			o.text("NIL")
		} else {
			o.string(f.value)
		}
		sep = ' '
	}
	o.byte(')')
	b.tags++
	b.ignored = b.tag()
	return b.say(b.ignored + " " + string(o.b))
}
