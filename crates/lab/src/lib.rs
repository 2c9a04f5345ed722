//! Throwaway hosts on this machine: own address, sshd and Docker engine.
