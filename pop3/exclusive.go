package pop3

import "sync"

// maildrops counts the sessions of each maildrop.
type maildrops struct {
	mu   sync.Mutex
	open map[string]int
}

// enter counts a session in, unless there are limit already.
func (m *maildrops) enter(user string, limit int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open[user] >= limit {
		return false
	}
	if m.open == nil {
		m.open = make(map[string]int)
	}
	m.open[user]++
	return true
}

func (m *maildrops) leave(user string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open[user]--; m.open[user] <= 0 {
		delete(m.open, user)
	}
}
