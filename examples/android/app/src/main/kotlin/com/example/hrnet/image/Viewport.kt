package com.example.hrnet.image

import kotlin.math.min

/**
 * Where a frame's pixels are in a view that shows the whole frame in its middle.
 *
 * @param isMirrored Whether the view shows it as a mirror does: previews of front
 *     cameras are mirrored, frames for analysis are not.
 */
class Viewport(
    private val imageWidth: Int,
    imageHeight: Int,
    viewWidth: Int,
    viewHeight: Int,
    private val isMirrored: Boolean
) {
    /** Pixels of the view for one of the frame. */
    val scale = min(viewWidth.toDouble() / imageWidth, viewHeight.toDouble() / imageHeight)
    private val left = (viewWidth - imageWidth * scale) / 2
    private val top = (viewHeight - imageHeight * scale) / 2

    // The middle of the frame's first pixel is at 0, the view's corner is a corner.
    fun x(imageX: Double): Double {
        val fromLeft = imageX + 0.5
        return left + scale * if (isMirrored) imageWidth - fromLeft else fromLeft
    }

    fun y(imageY: Double): Double = top + scale * (imageY + 0.5)
}
