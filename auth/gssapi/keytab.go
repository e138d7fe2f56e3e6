package gssapi

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"

	"github.com/posthouse-mail/posthouse/internal/hotfile"
)

// maxKeytab bounds a keytab, in octets.
const maxKeytab = 1 << 20

// keys are those of a keytab.
type keys struct {
	*keytab.Keytab
	usable int // of services of the host, of an encryption type that is good
}

// keytabs is the kind of file that a keytab is, of which a host needs a key.
func keytabs(host string) hotfile.Kind[keys] {
	return hotfile.Kind[keys]{
		Name: "keytab", Size: func(k *keys) int { return k.usable },
		Read: func(r io.Reader) (*keys, error) { return readKeytab(r, host) },
	}
}

// readKeytab reads a keytab. The reader's own errors show what they could not
// read, which may be keys.
func readKeytab(r io.Reader, host string) (k *keys, err error) {
	data, err := io.ReadAll(io.LimitReader(r, maxKeytab+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeytab, err)
	}
	if len(data) > maxKeytab {
		return nil, fmt.Errorf("%w: longer than %d octets", ErrKeytab, maxKeytab)
	}
	defer func() {
		if recover() != nil {
			k, err = nil, fmt.Errorf("%w: malformed", ErrKeytab)
		}
	}()
	table := keytab.New()
	if table.Unmarshal(data) != nil {
		return nil, fmt.Errorf("%w: malformed", ErrKeytab)
	}
	k = &keys{Keytab: table}
	for _, e := range table.Entries {
		name := e.Principal.Components
		if len(name) == 2 && hostFits(host, name[1]) && goodKey(e.Key) {
			k.usable++
		}
	}
	if k.usable == 0 {
		return nil, fmt.Errorf("%w: no AES key of a service of the host %q", ErrKeytab, host)
	}
	return k, nil
}

// decrypt decrypts a ticket by a key for its service. Letter case is no matter,
// since it is none to Active Directory: the key decides.
func (k *keys) decrypt(t *messages.Ticket) bool {
	for _, e := range k.Entries {
		version := t.EncPart.KVNO == 0 || uint32(t.EncPart.KVNO) == e.KVNO
		if version && e.Key.KeyType == t.EncPart.EType && e.Principal.Realm == t.Realm && goodKey(e.Key) &&
			slices.EqualFunc(e.Principal.Components, t.SName.NameString, strings.EqualFold) && t.Decrypt(e.Key) == nil {
			return true
		}
	}
	return false
}

func hostFits(want, host string) bool { return want == "" || strings.EqualFold(want, host) }

// serviceOf returns the name that Kerberos has for a service of
// auth.Credentials (RFC 4954 §4, RFC 9051 §6.2.2, RFC 5034 §4, RFC 2033 §4).
func serviceOf(service string) string {
	switch service = strings.TrimSuffix(service, "-proxy"); service {
	case "pop3":
		return "pop"
	case "submission":
		return "smtp"
	}
	return service
}
