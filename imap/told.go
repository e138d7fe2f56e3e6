package imap

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/internal/front"
)

// toldBy are the fields of ID in which front ends tell of their clients, as
// Dovecot has named them, and what XCLIENT calls the same.
var toldBy = map[string]string{
	"x-originating-ip":   "ADDR",
	"x-originating-port": "PORT",
	"x-connected-ip":     "DESTADDR",
	"x-connected-port":   "DESTPORT",
	"x-session-id":       "SESSION",
	"x-proxy-ttl":        "TTL",
}

// hear takes what a front end tells of its client in ID. From everybody else,
// and when a client has been logged in, whose words the front end passes on, it
// is not taken, which is logged once.
func (s *session) hear(ctx context.Context, fields []idField) error {
	if !slices.ContainsFunc(fields, func(f idField) bool { return toldBy[strings.ToLower(f.name)] != "" }) {
		return nil
	}
	if !s.told.Listens() {
		if !s.distrust {
			s.distrust = true
			s.log(ctx, slog.LevelWarn, "identity of a client is ignored: nobody who is trusted tells it", nil, "command", "ID")
		}
		return nil
	}
	told := *s.told
	if err := takeFields(&told, fields); err != nil {
		s.log(ctx, slog.LevelWarn, "identity of a client can't be taken", err)
		if errors.Is(err, front.ErrLoop) {
			text := "Too many proxies: they lead in a circle"
			return &goodbye{text: text, err: no(imap.ResponseCodeUnavailable, text)}
		}
		return bad("Malformed identity of a client")
	}
	*s.told = told
	before := s.id
	if told.Session != "" {
		s.id = told.Session
	}
	s.log(ctx, slog.LevelDebug, "front end tells of a client", nil, "was", before)
	return nil
}

// takeFields takes each field once.
func takeFields(told *front.Told, fields []idField) error {
	var seen []string
	for _, f := range fields {
		name := toldBy[strings.ToLower(f.name)]
		switch {
		case name == "" || f.null:
			continue
		case slices.Contains(seen, name):
			return front.ErrMalformed
		}
		seen = append(seen, name)
		if err := told.Set(name, f.value); err != nil {
			return err
		}
	}
	return nil
}

// forgetTold forgets, when TLS begins, what a front end has told in clear text:
// nobody knows who wrote it. What is known since a client was logged in stays.
func (s *session) forgetTold() {
	if s.told.Said() && s.told.Listens() {
		s.told.Forget()
		s.id = front.NewID()
	}
}
