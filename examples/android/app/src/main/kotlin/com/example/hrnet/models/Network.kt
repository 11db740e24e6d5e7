package com.example.hrnet.models

/** A network that is ready to run; `app.LiteRtNetwork` is the one of the app. */
interface Network : AutoCloseable {
    /** What computes it, in a word. */
    val processor: String

    /** Runs it on pictures: red, green and blue, as many bytes as its input has. */
    fun run(image: ByteArray)

    /** An output of the last run, by name; of type float32. */
    fun floats(name: String): FloatArray

    /** An output of the last run, by name; of type int32. */
    fun ints(name: String): IntArray
}
