package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"github.com/posthouse-mail/posthouse/directory"
)

// Kinds of lines.
const (
	opFormat   = "posthouse directory"
	opDomain   = "domain"
	opAccount  = "account"
	opPassword = "password"
	opDisabled = "disabled"
	opRemove   = "remove"
	opAlias    = "alias"
	opUnalias  = "unalias"
)

// formatVersion is what the first line of a journal says.
const formatVersion = 1

// line is one change as the journal has it. Op says which fields count.
type line struct {
	Op       string             `json:"op"`
	Version  int                `json:"version,omitempty"`
	Domain   string             `json:"domain,omitempty"`
	Account  *directory.Account `json:"account,omitempty"`
	Name     string             `json:"name,omitempty"`
	Password string             `json:"password,omitempty"`
	Secrets  map[string]string  `json:"secrets,omitempty"`
	Disabled bool               `json:"disabled,omitempty"`
	To       string             `json:"to,omitempty"`
}

// sumLength is the length of what stands before the fields of a line:
// {"sum":"01234567",
const sumLength = 18

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumField is how a line with these octets of fields begins. The sum is the
// CRC-32C of what follows it.
func sumField(fields []byte) []byte {
	return fmt.Appendf(nil, `{"sum":"%08x",`, crc32.Checksum(fields, castagnoli))
}

// encode writes a line with its sum and line feed.
func (l *line) encode() ([]byte, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	fields := text[1:]
	return append(append(sumField(fields), fields...), '\n'), nil
}

var (
	errSum  = errors.New("checksum does not match")
	errLine = errors.New("not a line of a directory")
)

// decodeLine reads what encode wrote, without the line feed.
func decodeLine(text []byte) (*line, error) {
	if len(text) <= sumLength || !bytes.Equal(text[:sumLength], sumField(text[sumLength:])) {
		return nil, errSum
	}
	l := new(line)
	if err := json.Unmarshal(append([]byte{'{'}, text[sumLength:]...), l); err != nil {
		return nil, fmt.Errorf("%w: %w", errLine, err)
	}
	return l, nil
}

// apply makes a change. A line that can't follow those before it is an error.
func (n *names) apply(l *line) error {
	switch l.Op {
	case opFormat:
		if l.Version != formatVersion {
			return fmt.Errorf("%w: version %d is not known", errLine, l.Version)
		}
	case opDomain:
		if l.Domain == "" || n.local(l.Domain) {
			return errLine
		}
		n.domains = append(n.domains, l.Domain)
		n.islocal[l.Domain] = true
	case opAccount:
		return n.applyAccount(l.Account)
	case opPassword, opDisabled, opRemove:
		return n.applyChange(l)
	case opAlias:
		n.link(l.Name, l.To)
	case opUnalias:
		for _, to := range slices.Clone(n.aliases[l.Name]) {
			n.unlink(l.Name, to)
		}
		n.unlinkAll(l.Name)
	default:
		return fmt.Errorf("%w: %q is not known", errLine, l.Op)
	}
	return nil
}

func (n *names) applyAccount(a *directory.Account) error {
	if a == nil || a.Name == "" || n.accounts[a.Name] != nil {
		return errLine
	}
	n.made++
	made := &account{name: a.Name, password: a.Password, secrets: a.Secrets, disabled: a.Disabled, number: n.made}
	n.accounts[a.Name] = made
	n.countSecrets(made, 1)
	n.changeFirst(made)
	for _, alias := range a.Aliases {
		n.link(alias, a.Name)
	}
	return nil
}

func (n *names) applyChange(l *line) error {
	a := n.accounts[l.Name]
	if a == nil {
		return errLine
	}
	switch l.Op {
	case opPassword:
		n.countSecrets(a, -1)
		a.password, a.secrets = l.Password, l.Secrets
		n.countSecrets(a, 1)
	case opDisabled:
		a.disabled = l.Disabled
		n.changeFirst(a)
	case opRemove:
		delete(n.accounts, l.Name)
		n.countSecrets(a, -1)
		n.changeFirst(a)
		n.unlinkAll(l.Name)
	}
	return nil
}

// link makes an alias lead to one more. Slices that lookups may have got are
// replaced, never changed.
func (n *names) link(alias, to string) {
	if !slices.Contains(n.aliases[alias], to) {
		n.aliases[alias] = append(slices.Clone(n.aliases[alias]), to)
	}
	if i, ok := slices.BinarySearch(n.back[to], alias); !ok {
		n.back[to] = slices.Insert(slices.Clone(n.back[to]), i, alias)
	}
}

func (n *names) unlink(alias, to string) {
	is := func(s string) func(string) bool { return func(o string) bool { return o == s } }
	n.aliases[alias] = slices.DeleteFunc(slices.Clone(n.aliases[alias]), is(to))
	if len(n.aliases[alias]) == 0 {
		delete(n.aliases, alias)
	}
	n.back[to] = slices.DeleteFunc(slices.Clone(n.back[to]), is(alias))
	if len(n.back[to]) == 0 {
		delete(n.back, to)
	}
}

// unlinkAll takes a name that is gone out of every alias, and those names that
// then lead nowhere out of theirs.
func (n *names) unlinkAll(gone string) {
	waiting := []string{gone}
	for len(waiting) > 0 {
		gone, waiting = waiting[0], waiting[1:]
		for _, alias := range slices.Clone(n.back[gone]) {
			n.unlink(alias, gone)
			if len(n.aliases[alias]) == 0 {
				waiting = append(waiting, alias)
			}
		}
	}
}

// size is how many lines the directory needs.
func (n *names) size() int { return 1 + len(n.domains) + len(n.accounts) + len(n.aliases) }

// lines calls f for the lines of a journal that makes these names.
func (n *names) lines(f func(*line) error) error {
	if err := f(&line{Op: opFormat, Version: formatVersion}); err != nil {
		return err
	}
	for _, d := range n.domains {
		if err := f(&line{Op: opDomain, Domain: d}); err != nil {
			return err
		}
	}
	byAge := slices.SortedFunc(maps.Values(n.accounts), func(a, b *account) int { return int(int64(a.number - b.number)) })
	for _, a := range byAge {
		if err := f(&line{Op: opAccount, Account: &directory.Account{Name: a.name, Password: a.password, Secrets: a.secrets, Disabled: a.disabled}}); err != nil {
			return err
		}
	}
	for _, alias := range slices.Sorted(maps.Keys(n.aliases)) {
		for _, to := range n.aliases[alias] {
			if err := f(&line{Op: opAlias, Name: alias, To: to}); err != nil {
				return err
			}
		}
	}
	return nil
}
