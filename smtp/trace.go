package smtp

import (
	"crypto/tls"
	"net/netip"
	"strings"
	"time"
)

// trace builds the Received field of a message (RFC 5321 §4.4).
func (c *conversation) trace(m *Message) []byte {
	f := &c.facts
	b := make([]byte, 0, 320)
	b = append(b, "Received: from "...)
	b = appendName(b, f.Helo)
	b = append(b, " ("...)
	b = appendLiteral(b, f.Remote.Addr())
	b = append(b, ")\r\n\tby "...)
	b = appendName(b, c.hostname)
	b = append(b, " with "...)
	b = append(b, with(f, m.Envelope.Options.UTF8)...)
	b = append(b, " id "...)
	b = append(b, m.ID...)
	if f.TLS != nil {
		b = append(b, "\r\n\t("...)
		b = append(b, tls.VersionName(f.TLS.Version)...)
		b = append(b, ' ')
		b = append(b, tls.CipherSuiteName(f.TLS.CipherSuite)...)
		b = append(b, ')')
	}
	if len(m.Envelope.Recipients) == 1 { // of more, each would learn about the others
		b = append(b, "\r\n\tfor <"...)
		b = append(b, m.Envelope.Recipients[0].To.String()...)
		b = append(b, '>')
	}
	b = append(b, ";\r\n\t"...)
	b = m.Received.AppendFormat(b, time.RFC1123Z)
	return append(b, "\r\n"...)
}

// with names the protocol as RFC 3848 and RFC 6531 §4.3 do.
func with(f *Session, utf8 bool) string {
	name := "SMTP"
	switch {
	case f.Protocol == LMTP:
		name = "LMTP"
	case f.ESMTP && !utf8:
		name = "ESMTP"
	case !f.ESMTP:
		return name
	}
	if utf8 {
		name = "UTF8" + name
	}
	if f.Secure() {
		name += "S"
	}
	if f.User != "" {
		name += "A"
	}
	return name
}

// appendName appends what a host calls itself: what can't stand in a domain
// or an address literal becomes "?", so that it is nothing but a word there.
func appendName(b []byte, name string) []byte {
	for _, r := range name {
		if r >= 0x80 || !isAlnum(byte(r)) && strings.IndexByte("-._:[]", byte(r)) < 0 {
			r = '?'
		}
		b = append(b, byte(r))
	}
	return b
}

// appendLiteral appends an address literal (RFC 5321 §4.1.3).
func appendLiteral(b []byte, a netip.Addr) []byte {
	switch {
	case !a.IsValid():
		return append(b, "unknown"...)
	case a.Is6():
		b = append(b, "[IPv6:"...)
		a = a.WithZone("")
	default:
		b = append(b, '[')
	}
	return append(a.AppendTo(b), ']')
}
