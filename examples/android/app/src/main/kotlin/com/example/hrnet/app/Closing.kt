package com.example.hrnet.app

/** The result of some work; if it fails, what was opened for it is closed. */
fun <T> closing(opened: AutoCloseable, work: () -> T): T =
    try {
        work()
    } catch (error: Exception) {
        opened.close()
        throw error
    }
