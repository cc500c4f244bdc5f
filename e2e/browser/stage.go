package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

//go:embed page.html
var pageHTML []byte

// A stage serves the page that does the runs, and has a browser open it.
type stage struct {
	server  http.Server
	next    chan *run // to the page
	browser *browser

	mu      sync.Mutex
	current *run
	runs    int
}

func openStage(command []string) (*stage, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &stage{next: make(chan *run)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.servePage)
	mux.HandleFunc("GET /next", s.serveNext)
	mux.HandleFunc("POST /offer/{id}", s.serveOffer)
	mux.HandleFunc("POST /report/{id}", s.serveReport)
	s.server.Handler = mux
	go s.server.Serve(listener)
	if s.browser, err = startBrowser(command, "http://"+listener.Addr().String()+"/"); err != nil {
		s.server.Close()
		return nil, err
	}
	return s, nil
}

func (s *stage) close() error { return errors.Join(s.browser.stop(), s.server.Close()) }

// --- What the page asks for

func (s *stage) servePage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(pageHTML)
}

// serveNext waits for the next run.
func (s *stage) serveNext(w http.ResponseWriter, r *http.Request) {
	select {
	case next := <-s.next:
		json.NewEncoder(w).Encode(next.task)
	case <-r.Context().Done():
	}
}

func (s *stage) serveOffer(w http.ResponseWriter, r *http.Request) {
	run, body, ok := s.find(w, r)
	if !ok {
		return
	}
	answer, err := run.answer(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	io.WriteString(w, answer)
}

func (s *stage) serveReport(w http.ResponseWriter, r *http.Request) {
	run, body, ok := s.find(w, r)
	if !ok {
		return
	}
	var report report
	if err := json.Unmarshal([]byte(body), &report); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case run.reported <- report:
	default: // it had reported
	}
}

// find is the run that a request is about, and what it says.
func (s *stage) find(w http.ResponseWriter, r *http.Request) (*run, string, bool) {
	id, err := strconv.Atoi(r.PathValue("id"))
	s.mu.Lock()
	current := s.current
	s.mu.Unlock()
	if err != nil || current == nil || id != current.task.ID {
		http.Error(w, "that run is over", http.StatusGone)
		return nil, "", false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil, "", false
	}
	return current, string(body), true
}

// --- Runs

// startPatience bounds the time until the page asks for a run: a browser takes its time
// to start, and the page to end the run before.
const startPatience = 60 * time.Second

// perform does one run. It returns once nothing is left of that here.
func (s *stage) perform(ctx context.Context, c scenario) (result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	s.runs++
	r := newRun(ctx, s.runs, c)
	s.current = r
	s.mu.Unlock()
	report, err := s.play(ctx, r, func() { cancel(errLate) })
	cancel(nil)
	errOurs := r.close()
	if err != nil {
		return result{}, errors.Join(err, errOurs, r.failure)
	}
	return r.judge(report)
}

var errLate = errors.New("it took too long")

// play hands a run to the page and waits for its report. It calls late when either
// takes too long.
func (s *stage) play(ctx context.Context, r *run, late func()) (report, error) {
	timer := time.AfterFunc(startPatience, late)
	defer timer.Stop()
	select {
	case s.next <- r:
	case <-s.browser.ended:
		return report{}, s.browser.err()
	case <-ctx.Done():
		return report{}, fmt.Errorf("the page doesn't ask for a run: %w", context.Cause(ctx))
	}
	timer.Reset(r.scenario.patience())
	select {
	case report := <-r.reported:
		if report.DTLSState == "failed" { // why is under way to our side, or it told the browser
			select {
			case <-r.served:
			case <-ctx.Done():
			}
		}
		return report, nil
	case <-s.browser.ended:
		return report{}, s.browser.err()
	case <-ctx.Done():
		return report{}, fmt.Errorf("the page doesn't report: %w", context.Cause(ctx))
	}
}
