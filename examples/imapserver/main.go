// Imapserver serves one user's mail from memory over IMAP: a server to try
// mail clients with. What clients put into it is gone when it ends.
//
//	go run ./examples/imapserver -addr 127.0.0.1:2143 -user alice -password secret
package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/imap"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:2143", "where to listen")
	user := flag.String("user", "alice", "who may log in")
	password := flag.String("password", "secret", "with which password")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *addr, onlyUser(*user, *password)); err != nil {
		slog.Error("imapserver", "err", err)
		os.Exit(1)
	}
}

// run serves IMAP at addr until ctx ends.
func run(ctx context.Context, addr string, users auth.Authenticator) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s := &imap.Server{
		Store: memory.New(),
		Auth:  users,
		// Without TLS a password may only travel inside this machine.
		PlainAuth: netip.Addr.IsLoopback,
		ID:        map[string]string{"name": "Posthouse"},
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		// Running commands may finish; every client is told BYE.
		grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped <- errors.Join(s.Shutdown(grace), s.Close())
	}()
	fmt.Println("listening on", l.Addr())
	// The sessions get a context that outlives ctx, so that they can finish.
	if err := s.Serve(context.WithoutCancel(ctx), l); !errors.Is(err, imap.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// onlyUser lets one user in.
func onlyUser(user, password string) auth.Authenticator {
	return auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (auth.Identity, error) {
		fits := subtle.ConstantTimeCompare([]byte(c.Password), []byte(password)) == 1
		if c.User != user || !fits || c.AuthzID != "" && c.AuthzID != user {
			return auth.Identity{}, auth.ErrBadCredentials
		}
		return auth.Identity{User: user}, nil
	})
}
