package smtp

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/proxy"
)

// saslScript is a mechanism and all that the client says in it.
type saslScript struct {
	mechanism string
	responses []string
}

// scripts returns the exchanges that would do, the best first. The first
// response can stand in the AUTH command, but for LOGIN.
func scripts(w proxy.Words) []saslScript {
	all := []saslScript{{w.Mechanism, []string{string(w.Response())}}}
	if w.Mechanism == "PLAIN" && w.As == "" {
		all = append(all, saslScript{"LOGIN", []string{w.User, w.Secret}})
	}
	return all
}

// logIn logs in (RFC 4954). EHLO must have been said, and need not be said
// again.
func (h *hop) logIn(w proxy.Words) error {
	offered := " " + strings.ToUpper(h.extensions["AUTH"]) + " "
	for _, script := range scripts(w) {
		if strings.Contains(offered, " "+script.mechanism+" ") {
			return h.play(script, w)
		}
	}
	return fmt.Errorf("%w: it does not offer AUTH %s", proxy.ErrUnfit, w.Mechanism)
}

// play says AUTH and its responses.
func (h *hop) play(script saslScript, w proxy.Words) error {
	line, rest := "AUTH "+script.mechanism, script.responses
	if script.mechanism != "LOGIN" {
		if first := " " + base64.StdEncoding.EncodeToString([]byte(rest[0])); len(line)+len(first) <= maxXclient-2 {
			line, rest = line+first, rest[1:]
		}
	}
	r, err := h.command(line)
	for err == nil && r.code == 334 {
		if len(rest) == 0 {
			r, err = h.command(w.Resign())
			break
		}
		r, err = h.command(base64.StdEncoding.EncodeToString([]byte(rest[0])))
		rest = rest[1:]
	}
	switch {
	case err != nil:
		return fmt.Errorf("AUTH: %w", err)
	case r.code == 235:
		return nil
	case r.code == 535:
		return w.Refused(auth.ErrBadCredentials, "535", r.lines[0])
	case r.code == 421 || r.code/100 == 2:
		return r
	}
	return fmt.Errorf("%w: AUTH: %w", proxy.ErrUnfit, r)
}
