package smtp_test

import (
	"context"
	"fmt"
	"net"
	netsmtp "net/smtp"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/smtp"
)

// A server for one domain, whose messages go to standard output.
func Example() {
	s := &smtp.Server{
		Hostname: "mx.example.test",
		Hooks: []smtp.Hooks{{
			Rcpt: func(_ context.Context, _ *smtp.Session, _ *mail.Envelope, r *mail.Recipient) error {
				if mail.DomainKey(r.To.Domain()) != "example.test" {
					return mail.Errorf(550, gosmtp.EnhancedCode{5, 7, 1}, "Relaying is not allowed here")
				}
				return nil
			},
		}},
		Handler: smtp.HandlerFunc(func(_ context.Context, m *smtp.Message) error {
			fmt.Printf("from %s to %s: %s\n", m.Envelope.From, m.Envelope.Recipients[0].To, m.Index.Envelope.Subject)
			return nil
		}),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	done := make(chan error)
	go func() { done <- s.Serve(context.Background(), l) }()

	if err := deliver(l.Addr().String()); err != nil {
		panic(err)
	}
	_ = s.Shutdown(context.Background())
	<-done
	// Output:
	// from a@example.org to b@example.test: hello
}

func deliver(address string) error {
	message := []byte("Subject: hello\r\n\r\nHello.\r\n")
	return netsmtp.SendMail(address, nil, "a@example.org", []string{"b@example.test"}, message)
}
