package pop3

import (
	"bytes"
	"context"
	"strings"
)

// command runs with what stood behind its name.
type command func(n *session, ctx context.Context, args string) error

// authorization returns the commands before login (RFC 1939 §4), nil for
// every other.
func authorization(name string) command {
	switch name {
	case "CAPA":
		return (*session).capa
	case "USER":
		return (*session).userName
	case "PASS":
		return (*session).pass
	case "AUTH":
		return (*session).auth
	case "STLS":
		return (*session).stls
	case "XCLIENT":
		return (*session).xclient
	case "QUIT":
		return (*session).quitEarly
	}
	return nil
}

// transaction returns the commands after login (RFC 1939 §5), nil for every
// other.
func transaction(name string) command {
	switch name {
	case "CAPA":
		return (*session).capa
	case "STAT":
		return (*session).stat
	case "LIST":
		return (*session).list
	case "UIDL":
		return (*session).uidl
	case "RETR":
		return (*session).retr
	case "TOP":
		return (*session).top
	case "DELE":
		return (*session).dele
	case "RSET":
		return (*session).rset
	case "NOOP":
		return (*session).noop
	case "QUIT":
		return (*session).quit
	}
	return nil
}

// run finds and runs the command of a line.
func (n *session) run(ctx context.Context, line []byte) error {
	name, args, err := parseCommand(line)
	if err != nil {
		return err
	}
	here, elsewhere, why := authorization, transaction, "Log in first"
	if n.drop != nil {
		here, elsewhere, why = transaction, authorization, "Command not allowed after login"
	}
	if c := here(name); c != nil {
		return c(n, ctx, args)
	}
	if elsewhere(name) != nil {
		return misunderstood(why)
	}
	return errUnknown
}

var errUnknown = misunderstood("Unknown command")

// parseCommand splits a line into the command's name, in upper case, and the
// rest. A bare LF ends a line too, as everywhere in POP3.
func parseCommand(line []byte) (name, args string, err error) {
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if bytes.ContainsAny(line, "\r\x00") {
		return "", "", misunderstood("Control character in a command")
	}
	name, args, _ = strings.Cut(string(line), " ")
	return strings.ToUpper(name), args, nil
}

// none refuses arguments.
func none(args string) error {
	if strings.TrimRight(args, " ") != "" {
		return misunderstood("No argument expected")
	}
	return nil
}
