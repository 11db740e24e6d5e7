package com.example.hrnet.image

import kotlin.math.floor

private const val CHANNELS = 3

/**
 * Where the samples of a row or a column are, between which two pixels.
 *
 * Pixel 0 is at 0, as in OpenCV: the middle of the pixel.
 */
class Axis private constructor(count: Int) {
    val size = count
    val low = IntArray(count) // bytes from the first pixel
    val high = IntArray(count)
    val lowShare = FloatArray(count)
    val highShare = FloatArray(count)

    companion object {
        /**
         * Samples at first, first + step, …
         *
         * @param count How many samples.
         * @param pixels How many pixels the frame has.
         * @param bytes From one pixel to the next.
         * @param repeatsBorder Whether what is beyond the border is like it; otherwise
         *     it is black.
         */
        fun of(
            count: Int,
            first: Double,
            step: Double,
            pixels: Int,
            bytes: Int,
            repeatsBorder: Boolean = false
        ): Axis {
            val axis = Axis(count)
            for (i in 0 until count) {
                val position = first + i * step
                val below = floor(position)
                val share = (position - below).toFloat()
                // Far beyond the border all is alike, and Int has room for it.
                val pixel = below.coerceIn(-2.0, pixels.toDouble()).toInt()
                axis.lowShare[i] = 1 - share
                axis.highShare[i] = share
                if (!repeatsBorder) {
                    if (pixel !in 0 until pixels) axis.lowShare[i] = 0f
                    if (pixel + 1 !in 0 until pixels) axis.highShare[i] = 0f
                }
                axis.low[i] = pixel.coerceIn(0, pixels - 1) * bytes
                axis.high[i] = (pixel + 1).coerceIn(0, pixels - 1) * bytes
            }
            return axis
        }
    }
}

/**
 * Samples a frame bilinearly: red, green and blue of each place, row by row.
 *
 * @param into Where they are written.
 * @param start The first byte that is written.
 * @param rowBytes From one row that is written to the next.
 */
fun sample(
    frame: Frame,
    columns: Axis,
    rows: Axis,
    into: ByteArray,
    start: Int = 0,
    rowBytes: Int = columns.size * CHANNELS
) {
    val pixels = frame.pixels
    for (y in 0 until rows.size) {
        val above = frame.first + rows.low[y]
        val below = frame.first + rows.high[y]
        val aboveShare = rows.lowShare[y]
        val belowShare = rows.highShare[y]
        var place = start + y * rowBytes
        for (x in 0 until columns.size) {
            val left = columns.low[x]
            val right = columns.high[x]
            val leftShare = columns.lowShare[x]
            val rightShare = columns.highShare[x]
            for (channel in 0 until CHANNELS) {
                val top = leftShare * level(pixels, above + left + channel) +
                    rightShare * level(pixels, above + right + channel)
                val bottom = leftShare * level(pixels, below + left + channel) +
                    rightShare * level(pixels, below + right + channel)
                // Half a level more, so that cutting off the rest rounds.
                into[place++] = (aboveShare * top + belowShare * bottom + 0.5f).toInt().toByte()
            }
        }
    }
}

private fun level(pixels: ByteArray, place: Int) = pixels[place].toInt() and 0xff
