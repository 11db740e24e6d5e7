package com.example.hrnet.image

import com.example.hrnet.people.Box
import kotlin.math.min

/**
 * A frame made to fit into a detector's canvas, at the top left, and the way back.
 *
 * @param canvasWidth In pixels, as [canvasHeight].
 * @param padding Red, green and blue of the rest.
 */
class Fit(
    private val frame: Frame,
    private val canvasWidth: Int,
    private val canvasHeight: Int,
    private val padding: IntArray
) {
    private val scale = min(
        canvasHeight.toDouble() / frame.height, canvasWidth.toDouble() / frame.width
    )
    private val width = fitted(frame.width, canvasWidth)
    private val height = fitted(frame.height, canvasHeight)
    private val scaleX = width.toDouble() / frame.width
    private val scaleY = height.toDouble() / frame.height

    private fun fitted(side: Int, most: Int) = (side * scale + 0.5).toInt().coerceIn(1, most)

    /** Writes what the network sees: red, green, blue, row by row. */
    fun draw(into: ByteArray) {
        for (place in into.indices) into[place] = padding[place % padding.size].toByte()
        val columns = axis(width, scaleX, frame.width, frame.stepX)
        val rows = axis(height, scaleY, frame.height, frame.stepY)
        sample(frame, columns, rows, into, 0, canvasWidth * padding.size)
    }

    private fun axis(count: Int, scale: Double, pixels: Int, bytes: Int): Axis =
        Axis.of(count, 0.5 / scale - 0.5, 1 / scale, pixels, bytes, repeatsBorder = true)

    /** A box of the canvas in pixels of the frame, as far as it is on it. */
    fun toImage(box: Box): Box {
        val left = min(box.x / scaleX, frame.width.toDouble())
        val top = min(box.y / scaleY, frame.height.toDouble())
        val right = min((box.x + box.width) / scaleX, frame.width.toDouble())
        val bottom = min((box.y + box.height) / scaleY, frame.height.toDouble())
        return Box(left, top, right - left, bottom - top)
    }
}
