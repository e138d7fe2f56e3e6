// Smtpsink receives every message for everybody and throws it away: a mail
// server for testing programs that send mail.
//
//	go run ./examples/smtpsink -addr 127.0.0.1:2525
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"time"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/smtp"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:2525", "where to listen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *addr); err != nil {
		slog.Error("smtpsink", "err", err)
		os.Exit(1)
	}
}

// run receives mail at addr until ctx ends.
func run(ctx context.Context, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s := &smtp.Server{
		Hostname: "sink.example.test",
		// A server relays nothing unless a hook says so: this one takes all.
		Hooks:   []smtp.Hooks{{Rcpt: anyone}},
		Handler: smtp.HandlerFunc(show),
		Logger:  slog.New(slog.DiscardHandler),
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		// Sessions in the middle of a message may finish it.
		grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped <- errors.Join(s.Shutdown(grace), s.Close())
	}()
	fmt.Println("listening on", l.Addr())
	// The sessions get a context that outlives ctx, so that they can finish.
	if err := s.Serve(context.WithoutCancel(ctx), l); !errors.Is(err, smtp.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// anyone accepts every recipient.
func anyone(context.Context, *smtp.Session, *mail.Envelope, *mail.Recipient) error { return nil }

// show prints one line per message. Returning nil takes the responsibility
// for it: here, to forget it.
func show(_ context.Context, m *smtp.Message) error {
	subject := ""
	if m.Index.Envelope != nil {
		subject = m.Index.Envelope.Subject
	}
	fmt.Printf("%s from <%s> to %d recipients, %d octets: %q\n",
		m.ID, m.Envelope.From, len(m.Envelope.Recipients), m.Body.Size(), subject)
	return nil
}
