package com.example.hrnet.app

private const val MEMORY = 0.9
private const val NANOSECONDS = 1e6

/** How long something takes, in the mean of the last times, in milliseconds. */
class Stopwatch {
    var milliseconds = 0.0
        private set

    fun <T> time(work: () -> T): T {
        val start = System.nanoTime()
        val done = work()
        add((System.nanoTime() - start) / NANOSECONDS)
        return done
    }

    fun add(lasted: Double) {
        milliseconds =
            if (milliseconds == 0.0) lasted else MEMORY * milliseconds + (1 - MEMORY) * lasted
    }
}
