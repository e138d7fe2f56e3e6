package proxy

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/posthouse-mail/posthouse/mapping"
)

// errAgain: something that had to be waited for is over; whatever was known
// before may be wrong now, the user's route first of all.
var errAgain = errors.New("to be mapped again")

// visit is a client who is on his way to a back end.
type visit struct {
	user      string // as he logs in
	client    Client
	patience  time.Time // until when he waits
	conflicts int       // how often he was to go elsewhere than his other sessions

	referred *mapping.Route // where a back end sends him; nil: where the map does
}

// hasSessions says of a protocol that who speaks it has logged in.
func hasSessions(p Protocol) bool { return p != SMTP && p != LMTP }

// visit begins a client's way.
func (s *Sessions) visit(user string, c Client) *visit {
	v := &visit{user: user, client: c}
	if s != nil {
		v.patience = time.Now().Add(s.maxWait())
	}
	return v
}

// welcome waits until the user may be mapped.
func (s *Sessions) welcome(ctx context.Context, v *visit) error {
	name, ok := mapping.NormalName(v.user)
	if s == nil || !ok {
		return nil
	}
	return s.undelayed(ctx, v, name)
}

// admit gives a client a seat on the back end to which he is mapped; nil when
// his protocol has none. errAgain when he had to wait; ErrUnavailable.
func (s *Sessions) admit(ctx context.Context, v *visit, r mapping.Route) (*seat, error) {
	if s == nil {
		return nil, nil
	}
	name := s.account(v.user, r)
	if !hasSessions(v.client.Protocol) {
		return nil, s.undelayed(ctx, v, name)
	}
	k, held, err := s.sit(v, name, r)
	switch {
	case err != nil:
		if err := s.undelayed(ctx, v, name); err != nil {
			return nil, err
		}
		return nil, err
	case held == nil:
		return k, nil
	}
	return nil, s.resolve(ctx, v, held)
}

// account returns the normal form of the name of whoever has the sessions.
func (s *Sessions) account(user string, r mapping.Route) string {
	if r.User != "" {
		user = r.User
	}
	if s.Account != nil {
		user = s.Account(user, r)
	}
	if name, ok := mapping.NormalName(user); ok {
		return name
	}
	return user
}

// sit takes a seat, or returns the account whose seats elsewhere are in the
// way. errAgain when logins of the user wait: whoever kicks him after Delay must not
// miss a session, so this is looked at under the lock that Kick takes too.
func (s *Sessions) sit(v *visit, name string, r mapping.Route) (*seat, *account, error) {
	host, port := normalHost(r.Host), uint16(v.client.Protocol.port(r))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.delayed(name) != nil {
		return nil, nil, errAgain
	}
	a := s.accounts[name]
	switch {
	case a == nil:
		a = &account{name: name, host: host}
		if s.accounts == nil {
			s.accounts = make(map[string]*account)
		}
		s.accounts[name] = a
	case a.closing || a.elsewhere(host, port, v.client.Protocol):
		return nil, a, nil
	}
	k := &seat{
		sessions: s, account: a, id: v.client.Session, remote: v.client.Remote.Addr(),
		since: time.Now().UnixNano(), protocol: v.client.Protocol, port: port,
	}
	a.seats = append(a.seats, k)
	s.seats++
	return k, nil, nil
}

// elsewhere tells another back end from the account's own. Two that differ in
// the port alone are two if they serve the same protocol.
func (a *account) elsewhere(host string, port uint16, p Protocol) bool {
	if a.host != host {
		return true
	}
	for _, k := range a.seats {
		if k.protocol == p && k.port != port {
			return true
		}
	}
	return false
}

func normalHost(host string) string {
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// resolve does what Conflict says, and waits until the seats elsewhere are
// free. The first time it does nothing: the client may have been mapped before
// those who sit there, and then it is he who is wrong.
func (s *Sessions) resolve(ctx context.Context, v *visit, a *account) error {
	if v.conflicts++; v.conflicts == 1 {
		return errAgain
	}
	s.mu.Lock()
	if len(a.seats) == 0 {
		s.mu.Unlock()
		return errAgain
	}
	if a.free == nil {
		a.free = make(chan struct{})
	}
	free := a.free
	var kicked []*seat
	if s.Conflict == KickOld && !a.closing {
		a.closing = true
		kicked = append(kicked, a.seats...)
	}
	s.mu.Unlock()
	for _, k := range kicked {
		k.kick()
	}
	if err := s.wait(ctx, v, free, time.Time{}); err != nil {
		return err
	}
	return errAgain
}
