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
	opHost     = "host"

	opGroup         = "group"
	opUngroup       = "ungroup"
	opDomainAlias   = "domain alias"
	opUndomainAlias = "domain unalias"
	opCatchAll      = "catch-all"
	opFolder        = "folder"
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
	Members  []string           `json:"members,omitempty"`
	Folder   string             `json:"folder,omitempty"`
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
		n.owned[l.Domain] = true
	case opAccount:
		return n.applyAccount(l.Account)
	case opPassword, opDisabled, opHost, opRemove:
		return n.applyChange(l)
	case opAlias:
		n.aliases.link(l.Name, l.To)
	case opUnalias:
		n.aliases.clear(l.Name)
		n.removed(l.Name)
	default:
		return n.applyOrganized(l)
	}
	return nil
}

// applyOrganized makes a change of what there is besides accounts and aliases.
func (n *names) applyOrganized(l *line) error {
	switch l.Op {
	case opGroup:
		n.groups[l.Name] = true
		n.inside.clear(l.Name)
		for _, m := range l.Members {
			n.inside.link(l.Name, m)
		}
	case opUngroup:
		delete(n.groups, l.Name)
		n.inside.clear(l.Name)
		n.removed(l.Name)
	case opDomainAlias:
		n.domainAliases[l.Domain] = l.To
	case opUndomainAlias:
		delete(n.domainAliases, l.Domain)
	case opCatchAll:
		setPlace(n.catchAlls, l.Domain, place{l.To, l.Folder})
	case opFolder:
		setPlace(n.folders, l.Name, place{l.To, l.Folder})
		if l.To == "" {
			n.removed(l.Name)
		}
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
	made := &account{name: a.Name, password: a.Password, secrets: a.Secrets, disabled: a.Disabled, host: a.Host, number: n.made}
	n.accounts[a.Name] = made
	n.countSecrets(made, 1)
	n.changeFirst(made)
	for _, alias := range a.Aliases {
		n.aliases.link(alias, a.Name)
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
	case opHost:
		a.host = l.To
	case opDisabled:
		a.disabled = l.Disabled
		n.changeFirst(a)
	case opRemove:
		delete(n.accounts, l.Name)
		n.countSecrets(a, -1)
		n.changeFirst(a)
		n.removed(l.Name)
	}
	return nil
}

func setPlace(m map[string]place, key string, at place) {
	if at == (place{}) {
		delete(m, key)
	} else {
		m[key] = at
	}
}

// removed takes a name that is gone out of everything, and then those names
// that led nowhere else.
func (n *names) removed(gone string) {
	for waiting := []string{gone}; len(waiting) > 0; {
		gone, waiting = waiting[0], waiting[1:]
		for _, alias := range n.aliases.forget(gone) {
			if len(n.aliases.to[alias]) == 0 {
				waiting = append(waiting, alias)
			}
		}
		n.inside.forget(gone) // a group may be empty
		maps.DeleteFunc(n.catchAlls, func(_ string, at place) bool { return at.name == gone })
		for address, at := range n.folders {
			if at.name == gone {
				delete(n.folders, address)
				waiting = append(waiting, address)
			}
		}
	}
}

// size is how many lines the directory needs.
func (n *names) size() int {
	return 1 + len(n.domains) + len(n.accounts) + len(n.aliases.to) + len(n.groups) + len(n.folders) + len(n.domainAliases) + len(n.catchAlls)
}

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
		kept := &directory.Account{Name: a.name, Password: a.password, Secrets: a.secrets, Disabled: a.disabled, Host: a.host}
		if err := f(&line{Op: opAccount, Account: kept}); err != nil {
			return err
		}
	}
	for _, alias := range sortedKeys(n.aliases.to) {
		for _, to := range n.aliases.to[alias] {
			if err := f(&line{Op: opAlias, Name: alias, To: to}); err != nil {
				return err
			}
		}
	}
	return n.organizedLines(f)
}

// organizedLines calls f for the lines of what there is besides accounts and
// aliases.
func (n *names) organizedLines(f func(*line) error) error {
	var all []*line
	for _, name := range sortedKeys(n.groups) {
		all = append(all, &line{Op: opGroup, Name: name, Members: n.inside.to[name]})
	}
	for _, alias := range sortedKeys(n.domainAliases) {
		all = append(all, &line{Op: opDomainAlias, Domain: alias, To: n.domainAliases[alias]})
	}
	for _, name := range sortedKeys(n.folders) {
		all = append(all, &line{Op: opFolder, Name: name, To: n.folders[name].name, Folder: n.folders[name].folder})
	}
	for _, domain := range sortedKeys(n.catchAlls) {
		all = append(all, &line{Op: opCatchAll, Domain: domain, To: n.catchAlls[domain].name, Folder: n.catchAlls[domain].folder})
	}
	for _, l := range all {
		if err := f(l); err != nil {
			return err
		}
	}
	return nil
}
