package smtp

import (
	"context"
	"fmt"
	"strings"

	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// hop is the client's side of a Link up to the point where mail, or the client
// itself, goes on: greeting, STARTTLS, XCLIENT, login.
type hop struct {
	link *proxy.Link
	name string // what we call ourselves in EHLO

	extensions map[string]string // keywords of EHLO, in capitals, with their parameters; nil: EHLO is due
}

// begin leads a fresh link to the point where EHLO is due or was said: greeted,
// secured as its Backend asks for, and told of the client where that is
// configured. An end of ctx closes the link.
func (h *hop) begin(ctx context.Context, client *Session) error {
	stop := context.AfterFunc(ctx, func() { h.link.Close() })
	defer stop()
	greeting, err := h.read()
	if err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if greeting.code != 220 {
		return fmt.Errorf("greeting: %w", greeting)
	}
	if err := h.secure(ctx); err != nil {
		return err
	}
	return h.tell(client)
}

// ehlo says EHLO, or LHLO, if that is due.
func (h *hop) ehlo() error {
	if h.extensions != nil {
		return nil
	}
	verb := "EHLO"
	if h.link.Client().Protocol == proxy.LMTP {
		verb = "LHLO"
	}
	r, err := h.command(verb + " " + h.name)
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	if r.code != 250 {
		return fmt.Errorf("%s: %w", verb, r)
	}
	h.extensions = make(map[string]string, len(r.lines))
	for _, line := range r.lines[1:] {
		keyword, parameters, _ := strings.Cut(line, " ")
		h.extensions[strings.ToUpper(keyword)] = parameters
	}
	return nil
}

func (h *hop) has(extension string) bool {
	_, ok := h.extensions[extension]
	return ok
}

// secure says STARTTLS where the Backend asks for it (RFC 3207). Without it
// nothing goes on.
func (h *hop) secure(ctx context.Context) error {
	if h.link.Backend().TLS != mapping.TLSStart {
		return nil
	}
	if err := h.ehlo(); err != nil {
		return err
	}
	if !h.has("STARTTLS") {
		return fmt.Errorf("%w: it offers no STARTTLS", proxy.ErrUnfit)
	}
	r, err := h.command("STARTTLS")
	if err != nil {
		return fmt.Errorf("STARTTLS: %w", err)
	}
	if r.code != 220 {
		return fmt.Errorf("%w: STARTTLS: %w", proxy.ErrUnfit, r)
	}
	h.extensions = nil
	return h.link.StartTLS(ctx)
}

// command says a line and returns the reply.
func (h *hop) command(line string) (hopReply, error) {
	if _, err := h.link.WriteString(line + "\r\n"); err != nil {
		return hopReply{}, err
	}
	return h.read()
}
