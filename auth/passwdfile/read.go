package passwdfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/posthouse-mail/posthouse/auth"
)

// Bounds of a password file. With them a table takes 200 MiB at the most; some
// 300 octets a line are usual.
const (
	maxLine   = 4096    // octets
	maxLines  = 100_000 // with a name
	maxNets   = 64      // of a line
	maxErrors = 20      // bad lines that are told
)

// LineError is what is wrong with a line of a password file. Nothing of its
// password is in it.
type LineError struct {
	Line int // from 1
	Err  error
}

// Error tells the line and the reason.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns the reason.
func (e *LineError) Unwrap() error { return e.Err }

// Reasons of a LineError, besides auth.ErrHash.
var (
	ErrBadLine   = errors.New("bad line")
	ErrDuplicate = errors.New("name is there already")
	ErrTooMany   = errors.New("too many lines")
)

// ReadTable reads a password file: text in UTF-8, one account a line, in any
// of these forms.
//
//	# comment; empty lines are nothing too
//	alice:$y$j9T$…
//	bob:$6$salt$…:1001:1001:Bob:/home/bob:/bin/sh
//	carol@example.test:{SSHA512}…::::::nologin allow_nets=192.0.2.0/24,2001:db8::/32
//
// Behind the name stands the password as an auth.Verifier takes it, where a
// text that is empty, is "x", or begins with "!" or "*" locks the account. Then
// come user and group, the real name, the home directory and the shell, which
// mean nothing here; then, as in Dovecot's files, further fields with spaces
// between them:
//
//   - allow_nets=NET,…: the networks and addresses that he may come from. The
//     word "local" is understood and lets nobody in, because no client is
//     without an address.
//   - nologin: he can't log in (auth.ErrDisabled).
//   - user=NAME: the name of the account.
//   - allow_real_nets makes a bad line, because it can't be honoured. All other
//     fields are ignored.
//
// Names are equal in any letter case and Unicode form (auth.NormalName), each
// stands there once, and none has a sub-address "+tag", because logins with
// one lead to the name without it. Passwords with a colon in them can be
// written as {PLAIN.b64}.
//
// The error joins a LineError for each of the first bad lines; no table is
// returned with it.
func ReadTable(r io.Reader, o Options) (*Table, error) { return o.read(r) }

func (o Options) read(r io.Reader) (*Table, error) {
	t := &Table{o: o, byName: make(map[string]int), seed: maphash.MakeSeed(), kinds: auth.Passwords}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	var bad []error
	n := 0
	for lines.Scan() && len(bad) < maxErrors {
		n++
		line := lines.Bytes()
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if err := t.add(string(line)); err != nil {
			bad = append(bad, &LineError{n, err})
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		bad = append(bad, &LineError{n + 1, fmt.Errorf("%w: longer than %d octets", ErrBadLine, maxLine)})
	} else if err != nil {
		return nil, err
	}
	if len(bad) > 0 {
		return nil, errors.Join(bad...)
	}
	return t, nil
}

// The fields of a line.
const (
	nameField = iota
	passwordField
	extraField = 7
)

// add takes one line in.
func (t *Table) add(line string) error {
	if strings.TrimSpace(line) == "" || line[0] == '#' {
		return nil
	}
	if len(t.entries) == maxLines {
		return fmt.Errorf("%w: more than %d", ErrTooMany, maxLines)
	}
	fields := strings.SplitN(line, ":", extraField+1)
	if len(fields) <= passwordField {
		return badLine("no password behind a colon")
	}
	name, err := t.o.name(fields[nameField])
	if err != nil {
		return err
	}
	e := entry{account: name}
	if !locked(fields[passwordField]) {
		kinds, err := t.o.Verifier.Kinds(fields[passwordField])
		if err != nil {
			return err
		}
		e.stored = strings.Clone(fields[passwordField]) // or the whole line is kept
		t.kinds |= kinds
	}
	if len(fields) > extraField {
		if err := e.addExtra(fields[extraField], t.o); err != nil {
			return err
		}
	}
	if _, ok := t.byName[name]; ok {
		return fmt.Errorf("%w: %q", ErrDuplicate, name)
	}
	t.byName[name] = len(t.entries)
	t.entries = append(t.entries, e)
	return nil
}

// locked reports whether a password means that nobody can log in with it.
func locked(stored string) bool {
	return stored == "" || stored == "x" || stored[0] == '!' || stored[0] == '*'
}

// name returns the normal form of a name in a file.
func (o Options) name(text string) (string, error) {
	local, _, _ := strings.Cut(text, "@")
	switch {
	case text == "" || len(text) > maxName || !utf8.ValidString(text):
		return "", badLine("no name, or none that anybody can have")
	case strings.ContainsFunc(text, unicode.IsControl) || strings.TrimSpace(text) != text:
		return "", badLine("a name with control characters, or with space around it")
	case strings.Contains(local, "+"):
		return "", badLine("a name with a sub-address")
	}
	return strings.Clone(o.fullName(text)), nil
}

// addExtra takes Dovecot's extra fields in.
func (e *entry) addExtra(text string, o Options) error {
	for field := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(field, "=")
		var err error
		switch key {
		case "allow_nets":
			err = e.addNets(value)
		case "nologin":
			e.flags |= noLogin
		case "user":
			e.account, err = o.name(value)
		case "allow_real_nets":
			err = badLine("allow_real_nets can't be honoured")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *entry) addNets(list string) error {
	if e.nets == nil {
		e.nets = []netip.Prefix{} // from nowhere, if nothing but "local" follows
	}
	for word := range strings.SplitSeq(list, ",") {
		if word == "local" {
			continue
		}
		net, ok := parseNet(word)
		if !ok || len(e.nets) == maxNets {
			return badLine("allow_nets holds no networks, or too many")
		}
		e.nets = append(e.nets, net)
	}
	return nil
}

// parseNet reads a network or an address.
func parseNet(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	net, err := netip.ParsePrefix(text)
	return net.Masked(), err == nil && !net.Addr().Is4In6()
}

func badLine(why string) error { return fmt.Errorf("%w: %s", ErrBadLine, why) }
