package processing

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/queue"
)

// accountKey names an account, or one of its mailboxes, as a destination of
// the queue: "account:alice@example.test", "account:alice@example.test/Lists".
// Mail that one account could not take waits for that account alone; the
// others that the same address led to have theirs already. A colon is in no
// domain, so the key is no domain either.
type accountKey struct{ name, folder string }

const accountScheme = "account:"

// destination writes the key. ok is false when it does not fit into a queue.
func (k accountKey) destination() (d string, ok bool) {
	d = accountScheme + url.PathEscape(k.name)
	if k.folder != "" {
		d += "/" + url.PathEscape(k.folder)
	}
	return d, len(d) <= queue.MaxDestination
}

// parseAccount reads what destination wrote; ok is false for every other
// destination.
func parseAccount(d string) (k accountKey, ok bool) {
	rest, ok := strings.CutPrefix(d, accountScheme)
	if !ok {
		return k, false
	}
	name, folder, _ := strings.Cut(rest, "/")
	var err1, err2 error
	k.name, err1 = url.PathUnescape(name)
	k.folder, err2 = url.PathUnescape(folder)
	return k, err1 == nil && err2 == nil && k.name != ""
}

// orDomain is the destination of an account; without one, or when it does not
// fit, the domain of the address, to be resolved again, or this system for an
// address without one.
func (p *Processor) orDomain(k accountKey, a mail.Address) string {
	if k.name != "" {
		if d, ok := k.destination(); ok {
			return d
		}
	}
	return cmp.Or(mail.DomainKey(a.Domain()), mail.DomainKey(p.o.Hostname))
}
